"""The service, imported only when a command needs it: `attest verify` works without it."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import click


def import_service(module: str) -> Any:  # noqa: ANN401 - a module
    """Import a module of the package ``service``.

    Raises:
        click.ClickException: what the service needs is not installed.
    """
    try:
        return importlib.import_module(f"service.{module}")
    except ModuleNotFoundError as error:
        msg = f"{error.name} is missing: install imds-attest[service]"
        raise click.ClickException(msg) from None


def load_settings(config: Path | None) -> Any:  # noqa: ANN401 - service.settings.Settings
    """Read the service's settings.

    Raises:
        click.ClickException: they cannot be used.
    """
    settings = import_service("settings")
    try:
        return settings.load_settings(config)
    except settings.SettingsError as error:
        raise click.ClickException(str(error)) from None
