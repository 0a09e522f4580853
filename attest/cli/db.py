"""``attest db``."""

from __future__ import annotations

from pathlib import Path

import click

from attest.cli.lazy import import_service, load_settings


@click.group()
def db() -> None:
    """Look after the service's database."""


@db.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="The settings file (TOML).  [default: the one that ATTEST_CONFIG names]",
)
def upgrade(config: Path | None) -> None:
    """Bring the schema up to date, as `attest serve` does when it starts."""
    settings = load_settings(config)
    migrate = import_service("migrate")
    try:
        before, after = migrate.upgrade(settings.database)
    except import_service("settings").SettingsError as error:
        raise click.ClickException(str(error)) from None
    except import_service("errors").UnavailableError as error:
        raise click.ClickException(f"the database does not answer: {error}") from None
    shown = settings.database.render_as_string(hide_password=True)
    state = "was current" if before == after else f"upgraded from {before or 'nothing'}"
    click.echo(f"{shown}: schema {after}, {state}")
