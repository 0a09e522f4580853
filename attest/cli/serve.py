"""``attest serve``."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from attest.cli.lazy import import_service
from attest.cli.output import print_json


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="The settings file (TOML).  [default: the one that ATTEST_CONFIG names]",
)
@click.option("--bind", metavar="ADDRESS:PORT", help="Where to listen.  [default: 127.0.0.1:8080]")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes.  [default: one a core]")
@click.option(
    "--insecure-no-auth",
    is_flag=True,
    default=None,
    help="Answer anyone, on any address, while no API key exists.",
)
@click.option("--check", is_flag=True, help="Check the settings, print them and exit.")
def serve(
    config: Path | None,
    bind: str | None,
    workers: int | None,
    insecure_no_auth: bool | None,  # noqa: FBT001 - a flag of the command line
    check: bool,  # noqa: FBT001 - likewise
) -> None:
    """Run the HTTP service in the foreground, under gunicorn.

    Settings come from ATTEST_* in the environment and from a TOML file; docs/service.md lists
    them.  SIGHUP reads them anew, SIGTERM stops when the requests under way are answered.
    """
    chosen = {"bind": bind, "workers": workers, "insecure_no_auth": insecure_no_auth}
    if check:
        _check(config, chosen)
        return
    with _metrics_folder():
        _run(config, chosen)


@contextlib.contextmanager
def _metrics_folder() -> Iterator[None]:
    """Provide the folder in whose files the processes count, before the metrics are imported."""
    master = os.getpid()
    folder = tempfile.mkdtemp(prefix="attest-metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    try:
        yield
    finally:
        # A worker that ends leaves this block, too: the folder is not its own.
        if os.getpid() == master:
            del os.environ["PROMETHEUS_MULTIPROC_DIR"]
            shutil.rmtree(folder, ignore_errors=True)


def _check(config: Path | None, chosen: dict[str, Any]) -> None:
    settings_module = import_service("settings")
    trust = import_service("trust")
    try:
        settings = settings_module.load_settings(config, **chosen)
        trust.load_trust(settings)
    except settings_module.SettingsError as error:
        raise click.ClickException(str(error)) from None
    print_json(settings.shown())


def _run(config: Path | None, chosen: dict[str, Any]) -> None:
    settings = import_service("settings")
    errors = import_service("errors")
    server = import_service("server")
    import_service("logs").configure("info")
    try:
        application = server.Server(lambda: settings.load_settings(config, **chosen))
    except settings.SettingsError as error:
        raise click.ClickException(str(error)) from None
    except errors.UnavailableError as error:
        raise click.ClickException(f"the database does not answer: {error}") from None
    application.run()
