"""Sources of issuers on the web of this machine, and evidence that says where its issuer is."""

from __future__ import annotations

from typing import Any

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from attest import Verifier
from attest.download import ISSUER_HOSTS, Downloader
from attest.issuer_cache import IssuerCache
from attest.issuers import AiaIssuerSource
from tests.support.pki import (
    AT,
    Identity,
    make_evidence,
    make_signer,
    pki,
)
from tests.support.web import (
    Web,
)

HOST = "www.microsoft.com"
PAGE = f"{HOST}/pkiops/certs/issuing.crt"
URL = f"http://{PAGE}"
SECOND_PAGE = "caissuers.microsoft.com/pkiops/certs/issuing.crt"
SECOND_URL = f"http://{SECOND_PAGE}"
HANG = 20.0  # seconds after which a test that should be over has hung


class Clock:
    """A wall clock that a test sets."""

    def __init__(self) -> None:
        self.now = AT.timestamp()

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def source_of(web: Web, cache: IssuerCache | None = None, **settings: Any) -> AiaIssuerSource:
    """Return a source on that web."""
    settings.setdefault("clock", Clock())
    timeout = settings.pop("timeout", 3.0)
    return AiaIssuerSource(
        Downloader(ISSUER_HOSTS, network=web, timeout=timeout), cache, **settings
    )


def verifier_of(source: AiaIssuerSource | None, *pinned: x509.Certificate) -> Verifier:
    """Return a verifier that pins the root, and these intermediates alone."""
    return Verifier(pki().store(intermediates=list(pinned)), issuers=source)


def access(*urls: str) -> tuple[x509.AuthorityInformationAccess, bool]:
    """Return an authorityInfoAccess extension."""
    return x509.AuthorityInformationAccess(
        [
            x509.AccessDescription(
                AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(url)
            )
            for url in urls
        ]
    ), False


def signer_of(issuer: Identity, *urls: str, **options: Any) -> Identity:
    """Return a signer that says where its issuer is."""
    return make_signer(issuer, extensions=[access(*urls)] if urls else [], **options)


def evidence_of(issuer: Identity, *urls: str, **options: Any) -> bytes:
    """Return evidence of such a signer."""
    return make_evidence(signer_of(issuer, *urls, **options))


def good() -> bytes:
    """Return evidence of a signer whose issuer is at URL."""
    return evidence_of(pki().intermediate, URL)
