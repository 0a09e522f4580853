"""Reads the vectors below ``tests/vectors``: real documents, bad ones, the forgeries' corpus."""

from __future__ import annotations

import base64
import functools
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from attest import Cloud, TrustStore

VECTORS = Path(__file__).parents[1] / "vectors"
FORGERIES = VECTORS / "forgeries"


@dataclass(frozen=True)
class RealDocument:
    """A public document that Azure signed."""

    name: str
    cloud: Cloud
    region: str
    at: datetime
    vm_id: str
    nonce: str
    signature: str

    @property
    def der(self) -> bytes:
        """The ContentInfo."""
        return base64.b64decode(self.signature)

    @property
    def imds(self) -> dict[str, object]:
        """The parsed answer of IMDS."""
        return {"encoding": "pkcs7", "signature": self.signature}


# What the SAN tells; the files do not say it.
_REGIONS = {
    "2021_01_rsa_tls_ca_01": "westeurope",
    "2022_04_rsa_tls_ca_01": "southcentralus",
    "govcloud_2023_03_azure_tls_issuing_ca_05": "usgovvirginia",
    "rsa_2024_04_azure_rsa_tls_issuing_ca_08": "eastus",
    "regular_2026_06_tls_g2_rsa_ca_ocsp_02": "eastus",
}


@functools.lru_cache(maxsize=1)
def real_documents() -> tuple[RealDocument, ...]:
    """Return the five real documents, oldest first."""
    found = []
    for name, region in _REGIONS.items():
        fields = json.loads((VECTORS / "real" / f"{name}.json").read_text("utf-8"))
        found.append(
            RealDocument(
                name=name,
                cloud=Cloud(fields["cloud"]),
                region=region,
                at=datetime.fromisoformat(fields["at"]),
                vm_id=fields["vm_id"],
                nonce=fields["nonce"],
                signature=fields["signature"],
            )
        )
    return tuple(found)


@dataclass(frozen=True)
class BadDocument:
    """A public document that no verifier may accept."""

    name: str
    at: datetime
    signature: str


def bad_document(name: str) -> BadDocument:
    """Return a bad document."""
    fields = json.loads((VECTORS / "bad" / f"{name}.json").read_text("utf-8"))
    return BadDocument(name, datetime.fromisoformat(fields["at"]), fields["signature"])


@dataclass(frozen=True)
class Forgery:
    """One file of the corpus and its answer: ``reject``, ``accept`` or ``either``."""

    name: str
    der: bytes
    answer: str
    at: datetime
    nonce: str | None
    limit: float
    served: tuple[x509.Certificate, ...]


@functools.lru_cache(maxsize=1)
def forgeries() -> tuple[Forgery, ...]:
    """Return the corpus."""
    index = json.loads((FORGERIES / "index.json").read_text("utf-8"))
    at = datetime.fromisoformat(index["verification_time"])
    return tuple(
        Forgery(
            name=item["name"],
            der=(FORGERIES / item["file"]).read_bytes(),
            answer=item["answer"],
            at=at,
            nonce=item.get("expected_nonce", index["expected_nonce"]),
            limit=item.get("limit_s", index["default_limit_s"]),
            served=tuple(_pem(item["served"])) if "served" in item else (),
        )
        for item in index["items"]
    )


@functools.lru_cache(maxsize=1)
def forgery_store() -> TrustStore:
    """Return the store under which the corpus was made."""
    return TrustStore.from_certificates(
        anchors=_pem("root.pem"), intermediates=_pem("intermediate.pem"), clouds={Cloud.PUBLIC}
    )


def _pem(file: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates((FORGERIES / file).read_bytes())
