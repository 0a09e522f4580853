"""Attestation results as JSON.  What thousands of documents share, their path, is encoded once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from attest import AttestationResult
from attest.cache import BoundedCache
from attest.path import CertificatePath
from attest.result import path_to_list
from service.encoding import encode


@dataclass(frozen=True, slots=True)
class RenderedPath:
    """A path as JSON.

    Attributes:
        path: the path; held, so that no other one gets the same id.
        signer_sha256: the fingerprint of the signer certificate.
        members: the members ``signer`` and ``chain`` of a result.
    """

    path: CertificatePath
    signer_sha256: object
    members: bytes


_RENDERED: BoundedCache[int, RenderedPath] = BoundedCache(1024)


def render_path(path: CertificatePath) -> RenderedPath:
    """Return a path as JSON."""
    # By identity: to hash a path is to hash its certificates, which takes longer than the rest.
    known = _RENDERED.get(id(path))
    if known is not None and known.path is path:
        return known
    chain = path_to_list(path)
    signer = {name: value for name, value in chain[0].items() if name != "origin"}
    members = b'"signer":%b,"chain":%b' % (encode(signer), encode(chain))
    rendered = RenderedPath(path, signer["sha256"], members)
    _RENDERED.put(id(path), rendered)
    return rendered


class Verified(NamedTuple):
    """A verified document.

    Attributes:
        result: what the core says.
        freshness: ``challenge``, or ``time`` where there was none.
        test_trust: whether certificates of a fake authority are trusted.
    """

    result: AttestationResult
    freshness: str
    test_trust: bool

    def encode(self) -> bytes:
        """Return it as the JSON that :class:`service.schemas.Result` describes."""
        result = self.result
        head = encode(
            {
                "verified": True,
                "cloud": result.cloud,
                "region": result.region,
                "document": result.document,
                "verified_at": result.verified_at,
                "valid_until": result.valid_until,
                "revocation": result.revocation,
                "freshness": self.freshness,
            }
        )
        more = render_path(result.path).members
        if self.test_trust:
            more += b',"test_trust":true'
        return b"%b,%b}" % (head[:-1], more)
