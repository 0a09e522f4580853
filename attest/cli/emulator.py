"""``attest emulator``: a fake metadata endpoint, for tests."""

from __future__ import annotations

import contextlib
import functools
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from attest.clouds import Cloud

if TYPE_CHECKING:
    from attest.testing import FakeAuthority
    from attest.testing.imds import FakeImds, VirtualMachine

_LAST_PORT = 65535


@click.command()
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, _LAST_PORT), default=8169, show_default=True)
@click.option(
    "--cloud",
    type=click.Choice([str(cloud) for cloud in Cloud]),
    default=str(Cloud.PUBLIC),
    show_default=True,
    help="The cloud to imitate.",
)
@click.option(
    "--shape",
    metavar="NAME",
    default="g2",
    show_default=True,
    help="The certificates' hierarchy: baltimore, rsa_xsign, g2 or ecdsa.",
)
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file with [vm.NAME] tables.  [default: a made-up Linux VM]",
)
@click.option("--vm", "name", metavar="NAME", help="Serve this VM alone.")
@click.option("--fault", metavar="NAME", help="Forge every document; 'list' prints the names.")
@click.option("--cache-nonce", is_flag=True, help="Give earlier documents again, as IMDS may.")
@click.option(
    "--rate-limit",
    metavar="N",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="Requests a second; 0 for no limit.",
)
def emulator(
    *,
    host: str,
    port: int,
    cloud: str,
    shape: str,
    config: Path | None,
    name: str | None,
    fault: str | None,
    cache_nonce: bool,
    rate_limit: int,
) -> None:
    """Serve a fake metadata endpoint that signs its documents with a test PKI.

    URL/_fake/trust.pem holds its roots and intermediates, for `attest verify --trust`.  VMs of the
    configuration that have an address of their own (listen) are served there as well.
    """
    try:
        from attest.testing.imds import FakeImds, signing  # noqa: PLC0415 - an extra
    except ImportError as error:
        msg = f"the emulator needs imds-attest[testing] ({error.name} is missing)"
        raise click.ClickException(msg) from error
    if fault == "list":
        click.echo("\n".join(signing.fault_names()))
        return
    make = functools.partial(
        FakeImds,
        cloud=Cloud(cloud),
        shape=shape,
        rate_limit=rate_limit or None,
        identity_rate_limit=4 * rate_limit or None,
        cache_nonce=cache_nonce,
        fault=fault,
        quiet=False,
    )
    _serve(make, _places(_machines(config), name, (host, port)))


def _machines(config: Path | None) -> Mapping[str, VirtualMachine]:
    from attest.testing.imds import VirtualMachine, load_vms  # noqa: PLC0415 - an extra

    if config is None:
        return {"default": VirtualMachine.default()}
    try:
        return load_vms(config)
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{config}: {error}") from error


def _places(
    machines: Mapping[str, VirtualMachine], name: str | None, address: tuple[str, int]
) -> list[tuple[VirtualMachine, tuple[str, int]]]:
    """Decide what to serve where: the named VM alone, or the first and those with an address."""
    if name is not None:
        if name not in machines:
            msg = f"there is no VM {name!r}: {', '.join(machines)}"
            raise click.ClickException(msg)
        return [(machines[name], address)]
    without = [vm for vm in machines.values() if not vm.listen]
    for vm in without[1:]:
        click.echo(f"VM {vm.name}: not served, it has no address of its own (listen)", err=True)
    return [
        *((vm, address) for vm in without[:1]),
        *((vm, _address(vm.listen)) for vm in machines.values() if vm.listen),
    ]


def _address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or not 0 <= int(port) <= _LAST_PORT:
        msg = f"listen is HOST:PORT, not {listen!r}"
        raise click.ClickException(msg)
    return host, int(port)


def _serve(
    make: Callable[..., FakeImds], places: list[tuple[VirtualMachine, tuple[str, int]]]
) -> None:
    """Serve every VM, all of one authority and each in its region, until SIGINT or SIGTERM."""
    done = threading.Event()

    def finish(_number: int, _frame: FrameType | None) -> None:
        done.set()

    authority: FakeAuthority | None = None
    with contextlib.ExitStack() as stack:
        servers: list[FakeImds] = []
        for vm, (host, port) in places:
            try:
                location = str(vm.compute["location"])
                own = authority.in_region(location) if authority and location else authority
                server = make(vm, authority=own, address=(host, port))
            except (OSError, ValueError) as error:
                raise click.ClickException(f"{host}:{port}: {error}") from error
            stack.callback(server.stop)
            authority = authority or server.authority
            servers.append(server)
            click.echo(f"VM {vm.name}: {server.url}  trust: {server.url}/_fake/trust.pem")
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, finish)
        for server in servers:
            server.start()
        done.wait()
