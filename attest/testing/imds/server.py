"""FakeImds: the fake endpoint as a live server on loopback."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Any, Self, Unpack

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from attest.clouds import Cloud
from attest.testing.authority import FakeAuthority
from attest.testing.imds.app import AppOptions, create_app
from attest.testing.imds.state import Emulator, utc_now
from attest.testing.imds.vm import VirtualMachine
from attest.testing.shapes import Shape


class _QuietHandler(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002, ANN401 - inherited
        """Say nothing: a test's output is the test's own."""


class FakeImds:
    """A live fake of the metadata endpoint, in a thread.  Trust what it signs in tests alone.

    As a context manager it starts on entry and stops on exit; :meth:`start` and :meth:`stop` do
    the same.  The port is bound, and so :attr:`url` known, from the beginning.

    Attributes:
        url: where it listens, such as ``http://127.0.0.1:40123``.
        authority: what signs its documents; its AIA and CRL addresses are at this server.
        app: the Flask application, for tests without a socket.
    """

    def __init__(
        self,
        vm: VirtualMachine | None = None,
        *,
        cloud: Cloud = Cloud.PUBLIC,
        shape: Shape | str = Shape.G2,
        authority: FakeAuthority | None = None,
        address: tuple[str, int] = ("127.0.0.1", 0),
        quiet: bool = True,
        **options: Unpack[AppOptions],
    ) -> None:
        """Bind the port and make the authority.

        Args:
            vm: the VM to describe, by default :meth:`VirtualMachine.default`.
            cloud: the cloud to imitate, where no authority is given.
            shape: the hierarchy of its certificates, where no authority is given.
            authority: what signs; by default a new one, in the VM's own region, whose AIA and
                CRL addresses are at this server.
            address: the address and port to listen on; port 0 for any that is free.
            quiet: log no requests.
            options: those of :func:`create_app`; only that there is no limit on the rate unless
                one is given (Azure has 5, and 20 for identity), so that no test fails by chance.

        Raises:
            OSError: the address cannot be bound.
            ValueError: the address is empty, or there is no such mutation, shape or api-version.
        """
        if not address[0]:
            raise ValueError("the address is empty; 0.0.0.0 is every interface")
        vm = VirtualMachine.default() if vm is None else vm
        settings: AppOptions = {"rate_limit": None, "identity_rate_limit": None, **options}
        with socket.create_server(address) as bound:
            host, port = address[0], bound.getsockname()[1]
            self.url = f"http://{host}:{port}"
            if authority is None:
                clock = settings.get("clock", utc_now)
                region = str(vm.compute["location"]) or None
                authority = FakeAuthority(cloud, shape, now=clock, region=region, base_url=self.url)
            self.authority = authority
            self.app = create_app(vm, authority, **settings)
            handler = _QuietHandler if quiet else WSGIRequestHandler
            # The server duplicates the descriptor.
            self._server: BaseWSGIServer = make_server(
                host, port, self.app, threaded=True, request_handler=handler, fd=bound.fileno()
            )
        self._thread: threading.Thread | None = None

    @property
    def emulator(self) -> Emulator:
        """What the server keeps between requests; change it while holding its ``lock``."""
        found = self.app.extensions["attest-imds"]
        assert isinstance(found, Emulator)  # noqa: S101 - create_app put it there
        return found

    def start(self) -> Self:
        """Serve in a thread of its own.

        Raises:
            RuntimeError: it has been started before; a stopped server has lost its port.
        """
        if self._thread is not None:
            raise RuntimeError("this FakeImds has been started before; make another one")
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.05},
            daemon=True,
            name="fake-imds",
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving and free the port; once it is stopped, do nothing."""
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
