"""Folders of the operator's own certificates, added to the pinned store.

``FOLDER/*.pem``, ``*.crt`` and ``*.cer`` hold intermediates: links, which serve every cloud to one
of whose anchors their signatures lead.  ``FOLDER/anchors/CLOUD/*.pem`` hold anchors, each for the
cloud that its folder is named after.  ``FOLDER/bundle.json`` is what ``attest trust import``
wrote there.  All of it is read before any of it counts: one file that is damaged, or leads
nowhere, refuses the whole.  Names that start with a dot do not count, so that Kubernetes' volumes
and half-written files can lie there.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from attest.bundle import BundleError
from attest.certificates import common_name, fingerprint, is_ca, is_self_signed, load_certificates
from attest.clouds import Cloud
from attest.errors import TrustStoreError, quote
from attest.files import read_bounded, write_whole
from attest.imported import parse_imported
from attest.trust import Intermediate, TrustAnchor, TrustStore

ANCHORS = "anchors"
BUNDLE = "bundle.json"
MAX_FILES = 256
MAX_FILE = 64 * 1024
MAX_BUNDLE = 8 * 1024 * 1024
MAX_CERTIFICATES = 512
_MAX_NAMES = 4096  # of any kind, in one folder
_SUFFIXES = frozenset({".pem", ".crt", ".cer"})
_MAX_SLUG = 60


@dataclass(frozen=True, slots=True)
class OperatorFile:
    """One file of a folder, as it was read.

    Attributes:
        path: where it lies.
        cloud: the cloud of an anchor's folder, ``None`` for intermediates and the bundle.
        data: its contents.
    """

    path: Path
    cloud: Cloud | None
    data: bytes

    @property
    def is_bundle(self) -> bool:
        """Whether it is what was imported."""
        return self.cloud is None and self.path.name == BUNDLE


@dataclass(frozen=True, slots=True)
class OperatorFiles:
    """What the folders held at one moment; nothing of it is parsed yet.

    Attributes:
        files: in order of folder and name.
    """

    files: tuple[OperatorFile, ...]

    @property
    def state(self) -> str:
        """A hash of names and contents (hexadecimal): it changes when any of them does."""
        digest = hashlib.sha256()
        for file in self.files:
            for part in (os.fsencode(file.path), str(file.cloud).encode(), file.data):
                digest.update(len(part).to_bytes(8, "big") + part)
        return digest.hexdigest()

    def with_bundle(self, folder: Path, data: bytes) -> OperatorFiles:
        """Return the same with this in place of what was imported into the one folder."""
        others = (file for file in self.files if not file.is_bundle)
        return OperatorFiles((*others, OperatorFile(folder / BUNDLE, None, data)))

    def anchors(self) -> list[TrustAnchor]:
        """Return the anchors that the operator put there, those of a bundle not among them.

        Raises:
            TrustStoreError: a file is damaged, or holds no anchor; the message names it.
        """
        files = [file for file in self.files if file.cloud is not None]
        items = [item for file in files for item in _read_certificates(file)]
        return [item for item in items if isinstance(item, TrustAnchor)]

    def extend(self, store: TrustStore) -> TrustStore:
        """Return the store with these certificates added.

        Raises:
            TrustStoreError: a file is damaged, is not what its place says, or leads to no
                anchor; the message names it.
        """
        anchors: list[TrustAnchor] = []
        links: list[Intermediate] = []
        for file in self.files:
            for item in _read_bundle(file) if file.is_bundle else _read_certificates(file):
                if isinstance(item, TrustAnchor):
                    anchors.append(item)
                else:
                    links.append(item)
        if len(anchors) + len(links) > MAX_CERTIFICATES:
            raise TrustStoreError(f"the folders hold more than {MAX_CERTIFICATES} certificates")
        return _connect(store, anchors, links)


def read_operator_folders(folders: Iterable[Path], store: TrustStore) -> TrustStore:
    """Return the store with everything added that the folders hold.

    Raises:
        TrustStoreError: a folder is missing, or a file is damaged, is not what its place says,
            or leads to no anchor; the message names it.
    """
    return read_files(folders).extend(store)


def folder_state(folders: Iterable[Path]) -> str:
    """Return a hash of names and contents, to tell cheaply whether anything has changed.

    Raises:
        TrustStoreError: a folder or a file cannot be read.
    """
    return read_files(folders).state


def read_files(folders: Iterable[Path]) -> OperatorFiles:
    """Read the folders' files, without looking into them.

    Raises:
        TrustStoreError: a folder or a file cannot be read, is too large, or is not one.
    """
    found: list[tuple[Path, Cloud | None]] = []
    for folder in folders:
        for entry in _list(folder):
            if os.path.isdir(entry):  # noqa: PTH112 - Path.is_dir raises what is not in our list
                if entry.name != ANCHORS:
                    raise TrustStoreError(f"{_name(entry)}: no folder but {ANCHORS} is known here")
                found += _list_anchors(entry)
            elif entry.suffix in _SUFFIXES or entry.name == BUNDLE:
                found.append((entry, None))
    if len(found) > MAX_FILES:
        raise TrustStoreError(f"the folders hold more than {MAX_FILES} files")
    return OperatorFiles(tuple(OperatorFile(path, cloud, _read(path)) for path, cloud in found))


def add_intermediate(folder: Path, certificate: x509.Certificate) -> Path:
    """Write an intermediate into an operator's folder, whole or not at all.

    Whether it leads to an anchor is for the caller to know; what reads the folder asks again.

    Returns:
        The file, named after the certificate's common name and fingerprint.

    Raises:
        TrustStoreError: it is no intermediate, the file exists with other contents, or it
            cannot be written.
    """
    slug = re.sub("[^a-z0-9]+", "-", common_name(certificate.subject).lower()).strip("-")
    path = folder / f"{slug[:_MAX_SLUG] or 'ca'}-{fingerprint(certificate)[:8]}.pem"
    _check_intermediate(path, certificate)
    data = certificate.public_bytes(Encoding.PEM)
    if os.path.lexists(path):
        if _read(path) != data:
            raise TrustStoreError(f"{_name(path)}: exists, and is another file")
        return path
    write_file(path, data)
    return path


def write_file(path: Path, data: bytes) -> None:
    """Write a file of an operator's folder, whole or not at all.

    Raises:
        TrustStoreError: it cannot be written.
    """
    try:
        write_whole(path, data)
    except OSError as error:
        raise TrustStoreError(f"{_name(path)}: cannot be written: {error.strerror}") from None


def _list(folder: Path) -> list[Path]:
    names: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                names.append(entry.name)
                if len(names) > _MAX_NAMES:
                    raise TrustStoreError(f"{_name(folder)}: holds more than {_MAX_NAMES} names")
    except OSError as error:
        raise TrustStoreError(f"{_name(folder)}: cannot be read: {error.strerror}") from None
    return [folder / name for name in sorted(names) if not name.startswith(".")]


def _list_anchors(folder: Path) -> list[tuple[Path, Cloud | None]]:
    found: list[tuple[Path, Cloud | None]] = []
    for subfolder in _list(folder):
        if subfolder.name not in {str(cloud) for cloud in Cloud}:
            clouds = ", ".join(Cloud)
            raise TrustStoreError(f"{_name(subfolder)}: not a folder of a cloud: {clouds}")
        files = [file for file in _list(subfolder) if file.suffix in _SUFFIXES]
        found += [(file, Cloud(subfolder.name)) for file in files]
    return found


def _read(path: Path) -> bytes:
    try:
        return read_bounded(path, MAX_BUNDLE if path.name == BUNDLE else MAX_FILE)
    except OSError as error:
        raise TrustStoreError(f"{_name(path)}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise TrustStoreError(f"{_name(path)}: {error}") from None


def _read_certificates(file: OperatorFile) -> Iterator[TrustAnchor | Intermediate]:
    source = str(file.path)
    try:
        certificates = load_certificates(file.data)
    except ValueError as error:
        raise TrustStoreError(f"{_name(source)}: {quote(str(error))}") from None
    for certificate in certificates:
        if file.cloud is None:
            _check_intermediate(file.path, certificate)
            yield Intermediate(certificate, frozenset(Cloud), source, pinned=False)
        elif is_self_signed(certificate):
            yield TrustAnchor(certificate, frozenset({file.cloud}), source, pinned=False)
        else:
            raise TrustStoreError(f"{_name(source)}: an anchor must be self-signed")


def _read_bundle(file: OperatorFile) -> Iterator[TrustAnchor | Intermediate]:
    try:
        imported = parse_imported(file.data)
    except BundleError as error:
        raise TrustStoreError(f"{_name(file.path)}: {error.detail}") from None
    return imported.members(str(file.path))


def _check_intermediate(path: Path, certificate: x509.Certificate) -> None:
    if is_self_signed(certificate):
        raise TrustStoreError(f"{_name(path)}: self-signed, and so no intermediate")
    if not is_ca(certificate):
        raise TrustStoreError(f"{_name(path)}: not a certificate of a CA")


def _connect(
    store: TrustStore, anchors: list[TrustAnchor], links: list[Intermediate]
) -> TrustStore:
    draft = store.extended(anchors=anchors, intermediates=links)
    connected = {cloud: frozenset(draft.intermediates_for(cloud)) for cloud in Cloud}
    kept = []
    for link in links:
        clouds = frozenset(c for c in link.clouds if link.certificate in connected[c])
        if not clouds:
            subject = quote(common_name(link.certificate.subject))
            where = _name(link.source or "")
            raise TrustStoreError(
                f"{where}: no chain of signatures leads from {subject} to an anchor"
            )
        kept.append(Intermediate(link.certificate, clouds, link.source, pinned=False))
    return store.extended(anchors=anchors, intermediates=kept)


def _name(path: Path | str) -> str:
    return quote(str(path), limit=300)
