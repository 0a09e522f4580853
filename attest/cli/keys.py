"""``attest keys``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from attest.cli import options
from attest.cli.lazy import import_service, load_settings
from attest.cli.output import console, print_json, styled
from attest.times import rfc3339

_SCOPES = ("verify", "challenge", "admin")
_config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="The settings file (TOML).  [default: the one that ATTEST_CONFIG names]",
)


@click.group()
def keys() -> None:
    """Make, list and revoke the service's API keys.

    As soon as one exists, every request needs one.
    """


@keys.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    required=True,
    metavar="SCOPE[,SCOPE...]",
    help="What the key may do: verify, challenge, admin.",
)
@_config_option
def new(name: str, scopes: str, config: Path | None) -> None:
    """Make a key and print it; it is stored nowhere and never shown again."""
    wanted = [scope.strip() for scope in scopes.split(",")]
    for scope in wanted:
        if scope not in _SCOPES:
            raise click.ClickException(f"{scope!r} is not a scope: {', '.join(_SCOPES)}")
    with _key_store(config) as store:
        click.echo(store.new(name, wanted, datetime.now(UTC)))


@keys.command("list")
@_config_option
@options.format_option
def list_(config: Path | None, output: str) -> None:
    """List the keys, revoked ones included."""
    with _key_store(config) as store:
        found = [_describe(key) for key in store.list()]
    if output == "json":
        print_json({"keys": found})
        return
    to = console()
    for key in found:
        state = "revoked" if key["revoked_at"] else f"last used {key['last_used_at'] or 'never'}"
        to.print(styled(f"{key['name']}  {','.join(key['scopes'])}  {state}"))


@keys.command()
@click.argument("name")
@_config_option
def revoke(name: str, config: Path | None) -> None:
    """Revoke a key for good; every worker refuses it within two seconds."""
    with _key_store(config) as store:
        store.revoke(name, datetime.now(UTC))
    click.echo(f"{name} is revoked")


@contextlib.contextmanager
def _key_store(config: Path | None) -> Iterator[Any]:
    settings = load_settings(config)
    keys_module = import_service("keys")
    database = import_service("database").Database(settings.database)
    try:
        import_service("migrate").upgrade(settings.database)
        yield keys_module.KeyStore(database)
    except (keys_module.ApiKeyError, import_service("settings").SettingsError) as error:
        raise click.ClickException(str(error)) from None
    except import_service("errors").UnavailableError as error:
        raise click.ClickException(f"the database does not answer: {error}") from None
    finally:
        database.close()


def _describe(key: Any) -> dict[str, Any]:  # noqa: ANN401 - service.keys.ApiKey
    return {
        "name": key.name,
        "id": key.id,
        "scopes": sorted(map(str, key.scopes)),
        "created_at": rfc3339(key.created_at),
        "revoked_at": key.revoked_at and rfc3339(key.revoked_at),
        "last_used_at": key.last_used_at and rfc3339(key.last_used_at),
    }
