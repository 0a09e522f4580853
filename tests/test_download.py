"""Tests of attest.download: what it asks, whom, and for how long."""

from __future__ import annotations

import contextlib
import posixpath
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

import certifi
import hypothesis
import hypothesis.strategies as st
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from attest import download
from attest.download import (
    CRL_HOSTS,
    ISSUER_HOSTS,
    Deadline,
    Downloader,
    DownloadError,
    HostRule,
    SystemNetwork,
)
from attest.hosts import is_public
from tests.support.pki import make_ca, make_signer, pem_of
from tests.support.web import (
    PUBLIC_ADDRESS,
    Page,
    Web,
    drips,
    loopback_web,
    redirects,
    response,
    sends,
)

HOST = "www.microsoft.com"
URL = f"http://{HOST}/pki/a.crt"
HANG = 5.0  # seconds after which a test that should end at once has hung


@pytest.fixture
def web() -> Iterator[Web]:
    """A web with one page."""
    with loopback_web(Web) as running:
        running.pages[f"{HOST}/pki/a.crt"] = b"a certificate"
        yield running


def get(web: Web, url: str = URL, max_octets: int = 100, timeout: float = 3.0) -> bytes:
    """Download from the hosts of issuers."""
    downloader = Downloader(ISSUER_HOSTS, network=web, timeout=timeout)
    return downloader.get(url, max_octets=max_octets, deadline=Deadline.after(HANG))


def test_a_file_is_downloaded(web: Web) -> None:
    """With one look-up, one connection and one request."""
    assert get(web) == b"a certificate"
    assert (web.lookups, web.requests) == ([HOST], [f"{HOST}/pki/a.crt"])
    assert web.connections == [(PUBLIC_ADDRESS, 80)]


@pytest.mark.parametrize(
    "url",
    [
        "HTTP://WWW.Microsoft.COM/pki/a.crt",
        "http://www.microsoft.com:80/pki/a.crt",
        "http://www.microsoft.com/pkiops/certs/Microsoft%20TLS%20G2%20RSA%20CA%20OCSP%2002.crt",
        "https://www.microsoft.com:443/pki/a.crt",
        "http://caissuers.microsoft.com/",
        "http://cacerts.digicert.com/DigiCertGlobalRootG2.crt",
    ],
)
def test_urls_that_are_followed(url: str) -> None:
    """Azure's, and other spellings of them that mean the same."""
    assert Downloader(ISSUER_HOSTS).allows(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "www.microsoft.com/pki/a.crt",
        "//www.microsoft.com/pki/a.crt",
        "http:///pki/a.crt",
        "ftp://www.microsoft.com/pki/a.crt",
        "ldap://www.microsoft.com/pki/a.crt",
        "file:///pki/a.crt",
        "gopher://www.microsoft.com/pki/a.crt",
        "http://evil.example/pki/a.crt",
        "http://www.microsoft.com.evil.example/pki/a.crt",
        "http://evil.www.microsoft.com/pki/a.crt",
        "http://microsoft.com/pki/a.crt",
        "http://www.microsoft.com./pki/a.crt",
        "http://127.0.0.1/pki/a.crt",
        "http://[::1]/pki/a.crt",
        "http://169.254.169.254/metadata/instance",
        "http://user@www.microsoft.com/pki/a.crt",
        "http://user:secret@www.microsoft.com/pki/a.crt",
        "http://www.microsoft.com@evil.example/pki/a.crt",
        "http://evil.example\\@www.microsoft.com/pki/a.crt",
        "http://evil.example#@www.microsoft.com/pki/a.crt",
        "http://www.microsoft.com:8080/pki/a.crt",
        "http://www.microsoft.com:443/pki/a.crt",
        "https://www.microsoft.com:80/pki/a.crt",
        "http://www.microsoft.com:080/pki/a.crt",
        "http://www.microsoft.com:/pki/a.crt",
        "http://www.microsoft.com",
        "http://www.microsoft.com/",
        "http://www.microsoft.com/other/a.crt",
        "http://www.microsoft.com/pki",
        "http://www.microsoft.com/PKI/a.crt",
        "http://www.microsoft.com/pki/../other/a.crt",
        "http://www.microsoft.com/pki/./a.crt",
        "http://www.microsoft.com/pki/..",
        "http://www.microsoft.com/pki//a.crt",
        "http://www.microsoft.com//pki/a.crt",
        "http://www.microsoft.com/pki/%2e%2e/other/a.crt",
        "http://www.microsoft.com/pki/%2E./other/a.crt",
        "http://www.microsoft.com/pki/..%2fother/a.crt",
        "http://www.microsoft.com/pki/..%5cother/a.crt",
        "http://www.microsoft.com/pki/%252e%252e/a.crt",
        "http://www.microsoft.com/pki/%c0%ae%c0%ae/a.crt",
        "http://www.microsoft.com/pki/..;/other/a.crt",
        "http://www.microsoft.com/pki/..%3b/other/a.crt",
        "http://www.microsoft.com/pki/..\\other/a.crt",
        "http://www.microsoft.com/pki/a.crt%0d%0aX:y",
        "http://www.microsoft.com/pki/a.crt%00",
        "http://www.microsoft.com/pki/a.crt%7f",
        "http://www.microsoft.com/pki/a.crt%2",
        "http://www.microsoft.com/pki/a.crt?x",
        "http://www.microsoft.com/pki/a.crt#x",
        "http://www.microsoft.com/pki/a.crt\r\nX: y",
        "http://www.microsoft.com/pki/a.crt\n",
        "http://www.microsoft.com/pki/a b.crt",
        "http://www.microsoft.com/pki/\u00e9.crt",
        "http://www.m\u0131crosoft.com/pki/a.crt",
        " http://www.microsoft.com/pki/a.crt",
        "http://www.microsoft.com/pki/" + "a" * 2048,
    ],
)
def test_urls_that_are_not(web: Web, url: str) -> None:
    """Nothing is resolved, let alone asked, for any other URL, and no redirect leads to one."""
    with pytest.raises(DownloadError) as caught:
        get(web, url)
    assert str(caught.value).isascii()
    assert str(caught.value).isprintable()
    assert not Downloader(ISSUER_HOSTS).allows(url)
    assert (web.lookups, web.connections) == ([], [])


_STARTS = ["", "http://", "http://www.microsoft.com", "http://www.microsoft.com/pki/"]
_SIGNS = ["/", "//", "..", ".", "%2e", "%2f", "%5c", "%20", "\\", "@", ":", "?", "#", " ", "\r\n"]
_WORDS = ["80", "a", "pki", "pkiops", "www.microsoft.com", "cacerts.digicert.com", "evil.example"]


@hypothesis.given(
    st.sampled_from(_STARTS), st.lists(st.sampled_from([*_SIGNS, *_WORDS]), max_size=6)
)
def test_a_url_that_is_followed_means_one_thing_to_all(start: str, rest: list[str]) -> None:
    """A reader that is not ours finds the same host, and a path that stays in its folder."""
    url = start + "".join(rest)
    if not Downloader(ISSUER_HOSTS).allows(url):
        return
    parts = urlsplit(url)
    prefixes = {rule.host: rule.prefixes for rule in ISSUER_HOSTS}
    assert parts.netloc.removesuffix(":80") in prefixes
    assert (parts.username, parts.query, parts.fragment) == (None, "", "")
    assert parts.port in {None, 80, 443}
    resolved = posixpath.normpath(unquote(unquote(parts.path)))
    assert resolved == (unquote(parts.path).rstrip("/") or "/")
    assert parts.path.startswith(prefixes[str(parts.hostname)])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location", ["http://cacerts.digicert.com/b.crt", "http://www.microsoft.com/pki/b.crt"]
)
def test_redirects_to_listed_urls_are_followed(web: Web, location: str, status: int) -> None:
    """From host to host, each resolved and checked anew."""
    web.pages[f"{HOST}/pki/a.crt"] = redirects(location, f"{status} Moved")
    web.pages[location.removeprefix("http://")] = b"moved"
    assert get(web) == b"moved"


def test_redirects_within_a_host_may_name_the_path_only(web: Web) -> None:
    """As they often do (RFC 9110 section 10.2.2)."""
    web.pages[f"{HOST}/pki/a.crt"] = redirects("/pkiops/b.crt")
    web.pages[f"{HOST}/pkiops/b.crt"] = b"moved"
    assert get(web) == b"moved"


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1/pki/a.crt",
        "http://169.254.169.254/metadata/identity/oauth2/token",
        "http://evil.example/pki/a.crt",
        "http://www.microsoft.com/other/a.crt",
        "http://user@www.microsoft.com/pki/a.crt",
        "https://www.microsoft.com:8443/pki/a.crt",
        "file:///etc/passwd",
        "//evil.example/pki/a.crt",
        "/other/a.crt",
        "b.crt",
        "",
    ],
)
def test_redirects_off_the_list_are_not(web: Web, location: str) -> None:
    """Redirects obey the rules of the first URL."""
    web.pages[f"{HOST}/pki/a.crt"] = redirects(location)
    with pytest.raises(DownloadError):
        get(web)
    assert web.lookups == [HOST]


@pytest.mark.parametrize(("hops", "good"), [(3, True), (4, False)])
def test_redirects_end(web: Web, hops: int, good: bool) -> None:
    """Three are followed."""
    for hop in range(hops):
        web.pages[f"{HOST}/pki/{hop}"] = redirects(f"/pki/{hop + 1}")
    web.pages[f"{HOST}/pki/{hops}"] = b"end"
    if good:
        assert get(web, f"http://{HOST}/pki/0") == b"end"
        return
    with pytest.raises(DownloadError, match="redirects"):
        get(web, f"http://{HOST}/pki/0")
    assert len(web.requests) == 4


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.0.0.4",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "168.63.129.16",
        "100.64.0.1",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:0:808:808::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "2002:808:808::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "2a00:1450:4001:80b::2004%eth0",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
        "localhost",
        "8.8.8.8:80",
        "0x7f000001",
        "",
    ],
)
def test_only_public_addresses_are_connected_to(web: Web, address: str) -> None:
    """One address that is not spoils the whole answer of the name server."""
    assert not is_public(address)
    for answer in ([address], [PUBLIC_ADDRESS, address]):
        web.addresses[HOST] = [answer]
        with pytest.raises(DownloadError, match="not a public address"):
            get(web)
    assert web.connections == []


@pytest.mark.parametrize("address", ["8.8.8.8", "2.16.1.1", "2a00:1450:4001:80b::2004", "2600::"])
def test_public_addresses(address: str) -> None:
    """Those of the Internet at large."""
    assert is_public(address)


def test_names_are_resolved_once_a_connection(web: Web) -> None:
    """A name whose second answer is this machine's own (DNS rebinding) gets no second question."""
    web.addresses[HOST] = [["8.8.8.8"], ["127.0.0.1"]]
    assert get(web) == b"a certificate"
    assert (web.lookups, web.connections) == ([HOST], [("8.8.8.8", 80)])
    with pytest.raises(DownloadError, match="not a public address"):
        get(web)
    assert web.connections == [("8.8.8.8", 80)]


def test_redirects_are_resolved_anew(web: Web) -> None:
    """A redirect to the same name is no way around the check of its addresses."""
    web.addresses[HOST] = [["8.8.8.8"], ["169.254.169.254"]]
    web.pages[f"{HOST}/pki/a.crt"] = redirects("/pki/b.crt")
    with pytest.raises(DownloadError, match="not a public address"):
        get(web)
    assert web.connections == [("8.8.8.8", 80)]


def test_the_next_address_is_tried(web: Web) -> None:
    """Where a host has several, one that is dead is skipped."""
    web.addresses[HOST] = [["8.8.8.8", "2600::1", "1.1.1.1"]]
    web.dead |= {"8.8.8.8", "2600::1"}
    assert get(web) == b"a certificate"
    assert [address for address, _ in web.connections] == ["8.8.8.8", "2600::1", "1.1.1.1"]
    assert web.timeouts[0] < web.timeouts[1] < web.timeouts[2] <= 3
    web.dead.add("1.1.1.1")
    with pytest.raises(DownloadError, match="nobody is there"):
        get(web)
    web.addresses[HOST] = [[]]
    with pytest.raises(DownloadError, match="no address"):
        get(web)


@pytest.mark.parametrize(
    "page",
    [
        response(b"x" * 101),
        response(b"")[:17] + b"Content-Length: 10000000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 101,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n"
        + b"x" * 101
        + b"\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000,
        b"HTTP/1.1 200 OK\r\n" + b"Content-Type: message/rfc822\r\r" * 2000 + b"\r\n\r\n",
        response(b"x", "200 OK", "X: y\rContent-Encoding: gzip"),
        response(b"x" * 10)[:-1],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nxx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nxxxxx\r\n0\r\n\r\n",
        response(b"x", "200 OK", "Content-Encoding: gzip"),
        response(b"", "204 No Content"),
        response(b"x", "206 Partial Content"),
        response(b"x", "304 Not Modified"),
        response(b"x", "404 Not Found"),
        response(b"x", "500 \x1b[2J"),
        b"",
        b"x" * 1000,
        b"\x16\x03\x01",
    ],
)
def test_other_answers_are_refused(web: Web, page: bytes) -> None:
    """Too long by announcement or in fact, cut off, of another status, not HTTP."""
    web.pages[f"{HOST}/pki/a.crt"] = sends(page)
    with pytest.raises(DownloadError) as caught:
        get(web)
    assert str(caught.value).isascii()
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "page",
    [
        response(b"x" * 100),
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100,
        b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 100,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"1\r\nx\r\n" * 100
        + b"0\r\n\r\n",
    ],
)
def test_a_file_of_the_greatest_length(web: Web, page: bytes) -> None:
    """However it is framed."""
    web.pages[f"{HOST}/pki/a.crt"] = sends(page)
    assert get(web) == b"x" * 100


def hangs_after(data: bytes) -> Page:
    """Return a page that sends these octets and nothing else until the other side gives up."""

    def send(connection: socket.socket) -> None:
        connection.sendall(data)
        connection.recv(1)

    return send


@pytest.mark.parametrize(
    "page",
    [
        drips(response(b"x" * 1000)),
        drips(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000),
        drips(response(b"", "302 Found", "Location: " + "x" * 1000)),
        hangs_after(response(b"x" * 9)[:-1]),
        hangs_after(b""),
    ],
    ids=["body", "header", "redirect", "last octet", "nothing"],
)
def test_drip_feeding_ends_with_the_deadline(web: Web, page: Page) -> None:
    """Each octet comes in good time, and the whole does not."""
    web.pages[f"{HOST}/pki/a.crt"] = page
    start = time.monotonic()
    with pytest.raises(DownloadError, match="in time"):
        get(web, max_octets=10_000, timeout=0.3)
    assert time.monotonic() - start < HANG


def test_the_callers_deadline_counts_too(web: Web) -> None:
    """One that has passed leaves nothing to do."""
    downloader = Downloader(ISSUER_HOSTS, network=web)
    with pytest.raises(DownloadError, match="in time"):
        downloader.get(URL, max_octets=100, deadline=Deadline.after(0))
    assert (web.lookups, web.connections) == ([], [])
    web.pages[f"{HOST}/pki/a.crt"] = hangs_after(b"")
    start = time.monotonic()
    with pytest.raises(DownloadError, match="in time"):
        downloader.get(URL, max_octets=100, deadline=Deadline.after(0.3))
    assert time.monotonic() - start < HANG


def test_proxies_are_not_heeded(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody leads the connection elsewhere by an environment variable."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert get(web) == b"a certificate"


class TlsWeb(Web):
    """A web that speaks TLS, and notes which server names it is asked for."""

    def __init__(self, server: socket.socket) -> None:
        super().__init__(server)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.names: list[str | None] = []
        self.context.sni_callback = lambda _socket, name, _context: self.names.append(name)

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            super()._answer(self.context.wrap_socket(connection, server_side=True))


@pytest.mark.parametrize(
    ("name", "trusted", "good"),
    [(HOST, True, True), (HOST, False, False), ("evil.example", True, False)],
)
def test_https_verifies_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, trusted: bool, good: bool
) -> None:
    """The certificate must be of a root of certifi's, and of this host."""
    always = datetime(2020, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)
    root, stranger = make_ca("Web Root", valid=always), make_ca("Another Root", valid=always)
    server = make_signer(root, names=[name], valid=always)
    key = server.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "server.pem").write_bytes(key + pem_of(server.certificate))
    (tmp_path / "roots.pem").write_bytes(pem_of((root if trusted else stranger).certificate))
    monkeypatch.setattr(certifi, "where", lambda: str(tmp_path / "roots.pem"))
    download._tls_context.cache_clear()
    try:
        with loopback_web(TlsWeb) as web:
            web.context.load_cert_chain(tmp_path / "server.pem")
            web.pages[f"{HOST}/pki/a.crt"] = b"secured"
            if good:
                assert get(web, f"https://{HOST}/pki/a.crt") == b"secured"
            else:
                with pytest.raises(DownloadError, match="CERTIFICATE_VERIFY_FAILED"):
                    get(web, f"https://{HOST}/pki/a.crt")
                assert web.requests == []
            assert (web.names, web.connections) == ([HOST], [(PUBLIC_ADDRESS, 443)])
    finally:
        download._tls_context.cache_clear()


def test_the_system_resolves_and_connects() -> None:
    """The network of this machine, as far as a test may use it."""
    network = SystemNetwork()
    assert list(network.resolve("127.0.0.1", 80, HANG)) == ["127.0.0.1"]
    with socket.create_server(("127.0.0.1", 0)) as server:
        network.connect("127.0.0.1", server.getsockname()[1], HANG).close()


def test_a_resolver_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps a thread, and only so many of them."""
    release = socket.socketpair()

    def hanging(*_arguments: object, **_settings: object) -> list[object]:
        release[0].recv(1, socket.MSG_PEEK)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    network = SystemNetwork()
    with release[0], release[1]:
        for _ in range(16):
            with pytest.raises(TimeoutError):
                network.resolve("www.microsoft.com", 80, 0.01)
        with pytest.raises(OSError, match="hang"):
            network.resolve("www.microsoft.com", 80, HANG)
        release[1].send(b"x")
        time.sleep(0.2)


def test_where_no_thread_is_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error of this download, and of none later."""

    def no_thread(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    network = SystemNetwork()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        for _ in range(17):
            with pytest.raises(OSError, match="new thread"):
                network.resolve("localhost", 80, 1.0)
    assert network.resolve("127.0.0.1", 80, HANG)


def test_a_name_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the resolver says is an answer like any other."""

    def nothing(*_arguments: object, **_settings: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", nothing)
    downloader = Downloader(ISSUER_HOSTS)
    with pytest.raises(DownloadError, match="no such name"):
        downloader.get(URL, max_octets=1, deadline=Deadline.after(HANG))


def test_the_lists_of_hosts() -> None:
    """Each rule names a host in lower case and folders."""
    for rule in (*ISSUER_HOSTS, *CRL_HOSTS):
        assert isinstance(rule, HostRule)
        assert rule.host == rule.host.lower().strip(".")
        assert all(prefix.startswith("/") and prefix.endswith("/") for prefix in rule.prefixes)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("PKI.example", HostRule("pki.example", ("/",))),
        ("pki.example/", HostRule("pki.example", ("/",))),
        ("pki.example/certs/ca/", HostRule("pki.example", ("/certs/ca/",))),
    ],
)
def test_rules_can_be_read(text: str, rule: HostRule) -> None:
    """An operator's list adds to ours."""
    assert HostRule.parse(text) == rule


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*",
        "*.example",
        "pki..example",
        "pki.example.",
        "-pki.example",
        "http://pki.example/",
        "pki.example:80",
        "user@pki.example",
        "pki.example/certs",
        "pki.example//",
        "pki.example/a b/",
        "pki.example/%2e%2e/",
        "pki.example/../",
        "pki.example/certs/./",
    ],
)
def test_rules_that_mean_nothing_are_errors(text: str) -> None:
    """Rather than rules that match nothing, or more than was meant."""
    with pytest.raises(ValueError, match="HOST"):
        HostRule.parse(text)


def test_rules_of_one_host_add_up() -> None:
    """The operator may open another folder of a host that is listed."""
    extended = Downloader([*ISSUER_HOSTS, HostRule.parse("www.microsoft.com/trust/")])
    assert extended.allows("http://www.microsoft.com/trust/a.crt")
    assert extended.allows(URL)
    assert not extended.allows("http://www.microsoft.com/other/a.crt")
