"""Imports a signed bundle into an operator's folder.

1. Read the envelope.
2. Enough of the given keys, each counted once, have signed type and payload.
3. It is a trust bundle.  Only now is the payload parsed.
4. Its version is greater than the one imported last; the same version is the same payload.
5. It has not expired, unless it is what was imported before.
6. Each of its anchors is one already, for the same clouds, or the operator accepts it by name:
   nothing received becomes an anchor by itself.
7. Signatures connect each of its intermediates to an anchor of each of its clouds.
8. The folder with the new bundle in it extends the store.
9. Write it, whole or not at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from attest.bundle import PAYLOAD_TYPE, Bundle, BundleCode, BundleError, parse_bundle
from attest.certificates import common_name, fingerprint
from attest.clouds import Cloud
from attest.dsse import Envelope, key_id, parse_envelope
from attest.errors import TrustStoreError, quote
from attest.imported import Consents, ImportedBundle, parse_imported
from attest.manifest import Role
from attest.operator_folder import BUNDLE, OperatorFiles, read_files, write_file
from attest.times import in_utc, rfc3339
from attest.trust import Intermediate, TrustAnchor, TrustStore


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import did.

    Attributes:
        bundle: what the bundle says.
        changed: whether anything was written; otherwise it was imported before.
        expired: whether it would be refused if it were new.
        store: the store with the folder.
    """

    bundle: Bundle
    changed: bool
    expired: bool
    store: TrustStore


def read_bundle(data: bytes) -> tuple[Envelope, Bundle]:
    """Read a bundle of one's own, before it is signed; says nothing about who signed it.

    Raises:
        BundleError: ``bundle_malformed`` or ``bundle_type_unsupported``.
    """
    envelope = _read_envelope(data)
    _check_type(envelope)
    return envelope, parse_bundle(envelope.payload)


def import_bundle(
    data: bytes,
    *,
    keys: Sequence[Ed25519PublicKey],
    threshold: int,
    folder: Path,
    store: TrustStore,
    at: datetime,
    accepted_anchors: Collection[str] = (),
) -> ImportResult:
    """Check a bundle and put it into a folder that :func:`read_operator_folders` reads.

    Args:
        data: the envelope.
        keys: whose signatures count.
        threshold: how many of them must have signed, at least 1.
        folder: the operator's folder; it remembers the version that was imported last.
        store: the store that the folder extends.
        at: the time of the import, aware.
        accepted_anchors: SHA-256 fingerprints of new anchors that the operator accepts.

    Raises:
        BundleError: the bundle is refused; nothing has changed.
        TrustStoreError: the folder cannot be read or written, or could not be used with the
            bundle in it; nothing has changed.
        ValueError: ``threshold`` is less than 1 or more than there are keys, or ``at`` is not
            aware.
    """
    at = in_utc(at)
    if not 1 <= threshold <= len({key_id(key) for key in keys}):
        raise ValueError("the threshold must be from 1 to the number of different keys")
    # 1. Read the envelope.
    envelope = _read_envelope(data)
    # 2. Count the signatures.
    found = len(envelope.signers(keys))
    if found < threshold:
        msg = f"{found} of the given keys signed it, and {threshold} must have"
        raise BundleError(BundleCode.SIGNATURES_MISSING, msg)
    # 3. Check the type, parse the payload.
    _check_type(envelope)
    bundle = parse_bundle(envelope.payload)
    with _locked(folder):
        return _import(envelope.payload, bundle, folder, store, at, frozenset(accepted_anchors))


def _import(
    payload: bytes,
    bundle: Bundle,
    folder: Path,
    store: TrustStore,
    at: datetime,
    accepted: frozenset[str],
) -> ImportResult:
    files = read_files([folder])
    last = _last_import(files)
    # 4. Check the version.
    _check_version(payload, bundle, last)
    # 5. Check the expiry.
    expired = bundle.expires < at
    if expired and (last is None or last.payload != payload):
        raise BundleError(BundleCode.EXPIRED, f"it expired on {rfc3339(bundle.expires)}")
    # 6. Check the anchors.
    known = store.extended(anchors=files.anchors())
    new = ImportedBundle(payload, bundle, _consents(bundle, last, accepted))
    _check_anchors(new, known)
    # 7. Check the intermediates.
    _check_connected(new, known)
    # 8. Try the folder.
    extended = files.with_bundle(folder, new.encode()).extend(store)
    # 9. Write.
    changed = last is None or last.encode() != new.encode()
    if changed:
        write_file(folder / BUNDLE, new.encode())
    return ImportResult(bundle, changed, expired, extended)


def _read_envelope(data: bytes) -> Envelope:
    try:
        return parse_envelope(data)
    except (ValueError, RecursionError) as error:
        raise BundleError(BundleCode.MALFORMED, quote(str(error), limit=300)) from None


def _check_type(envelope: Envelope) -> None:
    if envelope.payload_type != PAYLOAD_TYPE:
        msg = f"the payload is {quote(envelope.payload_type)}, not {PAYLOAD_TYPE}"
        raise BundleError(BundleCode.TYPE_UNSUPPORTED, msg)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    # Two imports at once could each find the other's version missing.
    with contextlib.ExitStack() as stack:
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrustStoreError("another import into this folder is under way") from None
        except OSError as error:
            msg = f"{quote(str(folder), limit=300)}: cannot be read: {error.strerror}"
            raise TrustStoreError(msg) from None
        yield


def _last_import(files: OperatorFiles) -> ImportedBundle | None:
    for file in files.files:
        if file.is_bundle:
            try:
                return parse_imported(file.data)
            except BundleError as error:
                msg = f"{quote(str(file.path), limit=300)}: {error.detail}"
                raise TrustStoreError(msg) from None
    return None


def _check_version(payload: bytes, bundle: Bundle, last: ImportedBundle | None) -> None:
    if last is None or bundle.version > last.bundle.version or payload == last.payload:
        return
    what = f"version {bundle.version}, and version {last.bundle.version} was imported"
    if bundle.version == last.bundle.version:
        what = f"another version {bundle.version} than the one that was imported"
    raise BundleError(BundleCode.ROLLED_BACK, f"it is {what}")


def _consents(bundle: Bundle, last: ImportedBundle | None, accepted: frozenset[str]) -> Consents:
    """Return which anchors the operator has accepted, now or at the last import."""
    earlier = {} if last is None else last.consents
    consents = {}
    for item in bundle.of_role(Role.ANCHOR):
        sha256 = fingerprint(item.certificate)
        before = earlier.get(sha256, frozenset()) & item.clouds
        if clouds := item.clouds if sha256 in accepted else before:
            consents[sha256] = clouds
    return consents


def _check_anchors(new: ImportedBundle, known: TrustStore) -> None:
    for item in new.bundle.of_role(Role.ANCHOR):
        sha256 = fingerprint(item.certificate)
        trusted = {c for c in Cloud if item.certificate in known.anchors_for(c)}
        foreign = item.clouds - trusted - new.consents.get(sha256, frozenset())
        if foreign:
            name = quote(common_name(item.certificate.subject))
            clouds = " and ".join(sorted(foreign))
            msg = (
                f"{name}, SHA-256 {sha256}, is no anchor for {clouds} so far, and was not accepted"
            )
            raise BundleError(BundleCode.ANCHOR_NEW, msg)


def _check_connected(new: ImportedBundle, known: TrustStore) -> None:
    members = list(new.members(BUNDLE))
    draft = known.extended(
        anchors=[item for item in members if isinstance(item, TrustAnchor)],
        intermediates=[item for item in members if isinstance(item, Intermediate)],
    )
    connected = {cloud: frozenset(draft.intermediates_for(cloud)) for cloud in Cloud}
    for item in new.bundle.of_role(Role.INTERMEDIATE):
        for cloud in sorted(item.clouds):
            if item.certificate not in connected[cloud]:
                name = quote(common_name(item.certificate.subject))
                msg = f"no chain of signatures leads from {name} to an anchor of {cloud}"
                raise BundleError(BundleCode.UNCONNECTED, msg)
