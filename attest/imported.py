"""What an import leaves in an operator's folder: a bundle's payload, and what was consented to.

It is no envelope: a bundle that somebody merely copies into the folder refuses the store.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pybase64

from attest import strictjson
from attest.bundle import MAX_CERTIFICATES, Bundle, BundleCode, BundleError, parse_bundle
from attest.certificates import fingerprint
from attest.clouds import Cloud
from attest.errors import quote
from attest.manifest import Role
from attest.trust import Intermediate, TrustAnchor

_MAX_BRACKETS = MAX_CERTIFICATES + 3
Consents = Mapping[str, frozenset[Cloud]]


@dataclass(frozen=True, slots=True)
class ImportedBundle:
    """A bundle that was imported.

    Attributes:
        payload: the bundle, exactly as it was signed.
        bundle: the same, parsed.
        consents: the anchors of it that the operator accepted, by fingerprint, each with the
            clouds for which.  Its other anchors are there by themselves, or not at all.
    """

    payload: bytes
    bundle: Bundle
    consents: Consents

    def members(self, source: str) -> Iterator[TrustAnchor | Intermediate]:
        """Yield what it adds to a store: anchors that were consented to, and intermediates."""
        for item in self.bundle.items:
            if item.role is Role.INTERMEDIATE:
                yield Intermediate(item.certificate, item.clouds, source, pinned=False)
            elif clouds := self.consents.get(fingerprint(item.certificate)):
                yield TrustAnchor(item.certificate, clouds & item.clouds, source, pinned=False)

    def encode(self) -> bytes:
        """Return the contents of the file."""
        fields = {
            "imported": pybase64.b64encode(self.payload).decode(),
            "accepted_anchors": {
                sha256: sorted(map(str, clouds)) for sha256, clouds in sorted(self.consents.items())
            },
        }
        return f"{json.dumps(fields, indent=1)}\n".encode()


def parse_imported(data: bytes) -> ImportedBundle:
    """Parse such a file; the caller has bounded its size.

    Raises:
        BundleError: ``bundle_malformed``.
    """
    try:
        text = strictjson.decode_utf8(data)
        return _parse(strictjson.loads_object(text, max_brackets=_MAX_BRACKETS))
    except (ValueError, TypeError, RecursionError) as error:
        raise BundleError(BundleCode.MALFORMED, quote(str(error), limit=300)) from None


def _parse(fields: Mapping[str, object]) -> ImportedBundle:
    imported, accepted = fields.get("imported"), fields.get("accepted_anchors")
    if not isinstance(imported, str) or not isinstance(accepted, dict):
        raise ValueError("not what attest trust import writes")  # noqa: TRY004 - see above
    payload = pybase64.b64decode(imported, validate=True)
    consents = {sha256: frozenset(map(Cloud, accepted[sha256])) for sha256 in accepted}
    return ImportedBundle(payload, parse_bundle(payload), MappingProxyType(consents))
