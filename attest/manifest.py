"""The manifest of a trust folder: which file is what, and proof that it still is.

``manifest.json`` says of each PEM file its role and clouds, and repeats subject, issuer, serial,
SHA-256, dates and source, so that a changed, missing or added file is noticed.  After adding a
PEM file, ``python -m attest.manifest FOLDER`` writes the manifest anew.
"""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.resources.abc import Traversable
from pathlib import Path

from cryptography import x509

from attest import strictjson
from attest.certificates import fingerprint, issued_under, load_certificates
from attest.clouds import Cloud
from attest.errors import TrustStoreError

MANIFEST = "manifest.json"
_VERSION = 1
_MAX_BRACKETS = 4096


class Role(enum.StrEnum):
    """What a certificate of a trust folder is for."""

    ANCHOR = "anchor"
    INTERMEDIATE = "intermediate"


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """One file of a trust folder, checked against the manifest.

    Attributes:
        file: the file's path below the folder, with forward slashes.
        role: anchor or intermediate.
        clouds: the clouds that it is for.
        source: where the certificate was obtained, if known.
        certificate: the certificate that the file holds.
    """

    file: str
    role: Role
    clouds: frozenset[Cloud]
    source: str | None
    certificate: x509.Certificate


def read_manifest(folder: Path | Traversable) -> list[ManifestEntry]:
    """Read a trust folder and compare each file with what the manifest says of it.

    Args:
        folder: holds ``manifest.json`` and the PEM files.

    Raises:
        TrustStoreError: a file is missing, damaged, not listed or not the one that is listed;
            the message names it.
    """
    fields = _read_fields(folder)
    files = set(_pem_files(folder))
    entries = [_load_entry(folder, files, item) for item in fields]
    unlisted = files - {entry.file for entry in entries}
    if unlisted:
        msg = f"{min(unlisted)}: not listed in {MANIFEST}"
        raise TrustStoreError(msg)
    if len(entries) != len(files):
        raise TrustStoreError(f"{MANIFEST}: a file is listed twice")
    return entries


def write_manifest(folder: Path) -> None:
    """Write ``manifest.json`` anew from the PEM files below ``anchors/`` and ``intermediates/``.

    Clouds and source of files that it listed before are kept.  A new intermediate is listed for
    every cloud to one of whose anchors its signatures lead; a new anchor needs its clouds (a
    decision that no program should take) written into the manifest by hand first.

    Raises:
        TrustStoreError: a new anchor has no clouds, or an intermediate leads to no anchor.
    """
    known = {fields.get("file"): fields for fields in _read_fields(folder)}
    certificates = {file: _load_one(folder, file) for file in sorted(_pem_files(folder))}
    anchors: dict[str, list[x509.Certificate]] = {cloud: [] for cloud in Cloud}
    entries = []
    for file, certificate in certificates.items():
        fields = known.get(file, {})
        if file.startswith("anchors/"):
            clouds = _clouds(file, fields.get("clouds"))
            for cloud in clouds:
                anchors[cloud].append(certificate)
        else:
            clouds = _connected_clouds(file, certificate, anchors, list(certificates.values()))
        entries.append(
            {
                "file": file,
                "role": Role.ANCHOR if file.startswith("anchors/") else Role.INTERMEDIATE,
                "clouds": sorted(clouds),
                **_fields(certificate),
                "source": fields.get("source"),
            }
        )
    text = json.dumps({"version": _VERSION, "certificates": entries}, indent=1)
    folder.joinpath(MANIFEST).write_text(f"{text}\n", encoding="utf-8")


def _connected_clouds(
    file: str,
    certificate: x509.Certificate,
    anchors: Mapping[str, list[x509.Certificate]],
    certificates: list[x509.Certificate],
) -> frozenset[Cloud]:
    clouds = {c for c in Cloud if certificate in issued_under(anchors[c], certificates)}
    if not clouds:
        msg = f"{file}: no chain of signatures leads to an anchor"
        raise TrustStoreError(msg)
    return frozenset(clouds)


def _read_fields(folder: Path | Traversable) -> list[Mapping[str, object]]:
    try:
        text = strictjson.decode_utf8(folder.joinpath(MANIFEST).read_bytes())
        manifest = strictjson.loads_object(text, max_brackets=_MAX_BRACKETS)
    except (OSError, ValueError, RecursionError) as error:
        msg = f"{MANIFEST}: cannot be read: {error}"
        raise TrustStoreError(msg) from None
    entries = manifest.get("certificates")
    if (
        manifest.get("version") != _VERSION
        or not isinstance(entries, list)
        or not all(isinstance(fields, dict) for fields in entries)
    ):
        msg = f"{MANIFEST}: not a manifest of version {_VERSION}"
        raise TrustStoreError(msg)
    return entries


def _load_entry(
    folder: Path | Traversable, files: set[str], fields: Mapping[str, object]
) -> ManifestEntry:
    file, source = fields.get("file"), fields.get("source")
    if not isinstance(file, str) or file not in files:
        msg = f"{file}: listed in {MANIFEST}, and not a file of the folder"
        raise TrustStoreError(msg)
    certificate = _load_one(folder, file)
    for field, actual in _fields(certificate).items():
        if fields.get(field) != actual:
            msg = f"{file}: {field} is {actual!r}, the manifest says {fields.get(field)!r}"
            raise TrustStoreError(msg)
    try:
        role = Role(str(fields.get("role")))
    except ValueError:
        msg = f"{file}: the role is {fields.get('role')!r}"
        raise TrustStoreError(msg) from None
    clouds = _clouds(file, fields.get("clouds"))
    return ManifestEntry(
        file, role, clouds, source if isinstance(source, str) else None, certificate
    )


def _clouds(file: str, value: object) -> frozenset[Cloud]:
    if not isinstance(value, list) or not value or not all(item in list(Cloud) for item in value):
        msg = f"{file}: the clouds are {value!r}, not a list of {', '.join(Cloud)}"
        raise TrustStoreError(msg)
    return frozenset(Cloud(item) for item in value)


def _load_one(folder: Path | Traversable, file: str) -> x509.Certificate:
    try:
        certificates = load_certificates(folder.joinpath(file).read_bytes())
    except (OSError, ValueError) as error:
        msg = f"{file}: cannot be read as a certificate: {error}"
        raise TrustStoreError(msg) from None
    if len(certificates) != 1:
        msg = f"{file}: {len(certificates)} certificates; exactly one is expected"
        raise TrustStoreError(msg)
    return certificates[0]


def _fields(certificate: x509.Certificate) -> dict[str, str]:
    return {
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "serial": f"{certificate.serial_number:x}",
        "sha256": fingerprint(certificate),
        "not_before": _timestamp(certificate.not_valid_before_utc),
        "not_after": _timestamp(certificate.not_valid_after_utc),
    }


def _timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _pem_files(folder: Path | Traversable, prefix: str = "") -> list[str]:
    found = []
    for item in folder.iterdir():
        if item.is_dir():
            found += _pem_files(item, f"{prefix}{item.name}/")
        elif item.name.endswith(".pem"):
            found.append(f"{prefix}{item.name}")
    return found


if __name__ == "__main__":
    write_manifest(Path(sys.argv[1]))
