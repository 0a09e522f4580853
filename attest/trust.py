"""Whom we trust: anchors and intermediates, pinned per cloud.

A store is built from the package's own ``certs`` folder, from a folder of the same layout, or
from certificates that the operator hands over.  This module never sees evidence: nothing that
an attacker sends can become an anchor.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from cryptography import x509

from attest.certificates import (
    fingerprint,
    is_self_signed,
    issued_under,
    read_certificate_files,
)
from attest.clouds import Cloud
from attest.errors import TrustStoreError
from attest.manifest import Role, read_manifest


@dataclass(frozen=True, slots=True)
class TrustAnchor:
    """A root: paths of these clouds may end at it.

    Attributes:
        certificate: the root certificate, of which only name, key and dates matter.
        clouds: the clouds for which it vouches, and no others.
        source: where the certificate was obtained, if known.
        pinned: whether a manifest pins it; ``False`` where the operator added it.
    """

    certificate: x509.Certificate
    clouds: frozenset[Cloud]
    source: str | None = None
    pinned: bool = True


@dataclass(frozen=True, slots=True)
class Intermediate:
    """A CA certificate: a link to an anchor, no trust of its own.

    Attributes:
        certificate: the CA certificate.
        clouds: the clouds whose paths may use it.
        source: where the certificate was obtained, if known.
        pinned: whether a manifest pins it; ``False`` where the operator added it.
    """

    certificate: x509.Certificate
    clouds: frozenset[Cloud]
    source: str | None = None
    pinned: bool = True


class TrustStore:
    """An immutable set of anchors and intermediates."""

    __slots__ = ("_anchors", "_by_cloud", "_generation", "_intermediates")

    def __init__(
        self, anchors: Iterable[TrustAnchor], intermediates: Iterable[Intermediate] = ()
    ) -> None:
        """Build a store.

        An intermediate that no chain of signatures connects to an anchor of its cloud is kept
        for display and never used.
        """
        self._anchors = tuple(anchors)
        self._intermediates = tuple(intermediates)
        self._generation = _generation(self._anchors, self._intermediates)
        self._by_cloud = {
            cloud: _for_cloud(cloud, self._anchors, self._intermediates) for cloud in Cloud
        }

    @property
    def anchors(self) -> tuple[TrustAnchor, ...]:
        """Every anchor."""
        return self._anchors

    @property
    def intermediates(self) -> tuple[Intermediate, ...]:
        """Every intermediate, connected or not."""
        return self._intermediates

    @property
    def generation(self) -> str:
        """A hash of the whole content (hexadecimal); equal stores have equal ones."""
        return self._generation

    def anchors_for(self, cloud: Cloud) -> tuple[x509.Certificate, ...]:
        """Return the certificates at which a path of this cloud may end."""
        return self._by_cloud[cloud].anchors

    def intermediates_for(self, cloud: Cloud) -> tuple[x509.Certificate, ...]:
        """Return this cloud's intermediates whose signatures lead to one of its anchors."""
        return self._by_cloud[cloud].intermediates

    def operators_for(self, cloud: Cloud) -> frozenset[x509.Certificate]:
        """Return this cloud's certificates that the operator added and no manifest pins."""
        return self._by_cloud[cloud].operators

    def is_pinned(self, certificate: x509.Certificate) -> bool:
        """Tell whether a manifest pins the certificate, in whichever role and for any cloud."""
        items: tuple[TrustAnchor | Intermediate, ...] = (*self._anchors, *self._intermediates)
        return any(item.pinned and item.certificate == certificate for item in items)

    def extended(
        self,
        *,
        anchors: Iterable[TrustAnchor] = (),
        intermediates: Iterable[Intermediate] = (),
    ) -> TrustStore:
        """Return a store that holds these certificates too; this one stays as it is."""
        return TrustStore((*self._anchors, *anchors), (*self._intermediates, *intermediates))

    @classmethod
    def bundled(cls) -> TrustStore:
        """Load the store that comes with the package.

        Raises:
            TrustStoreError: the installed ``certs`` folder is missing or damaged.
        """
        try:
            folder = resources.files("certs")
        except ModuleNotFoundError:
            msg = "the package certs, which holds the pinned certificates, is not installed"
            raise TrustStoreError(msg) from None
        return cls.load(folder)

    @classmethod
    def load(cls, folder: str | Path | Traversable) -> TrustStore:
        """Load a folder that holds ``manifest.json`` and the PEM files that it lists.

        Every file must be what the manifest says, every PEM file must be listed, and every
        intermediate must be connected by signatures to an anchor of each of its clouds.

        Raises:
            TrustStoreError: one of these does not hold; the message names the file.
        """
        entries = read_manifest(Path(folder) if isinstance(folder, str) else folder)
        anchors = [entry for entry in entries if entry.role is Role.ANCHOR]
        intermediates = [entry for entry in entries if entry.role is Role.INTERMEDIATE]
        if not anchors:
            raise TrustStoreError("manifest.json: lists no anchor")
        store = cls(
            [TrustAnchor(entry.certificate, entry.clouds, entry.source) for entry in anchors],
            [Intermediate(item.certificate, item.clouds, item.source) for item in intermediates],
        )
        for entry in intermediates:
            for cloud in entry.clouds:
                if entry.certificate not in store.intermediates_for(cloud):
                    msg = f"{entry.file}: no chain of signatures leads to an anchor of {cloud}"
                    raise TrustStoreError(msg)
        return store

    @classmethod
    def from_certificates(
        cls,
        *,
        anchors: Iterable[x509.Certificate],
        intermediates: Iterable[x509.Certificate] = (),
        clouds: Collection[Cloud],
    ) -> TrustStore:
        """Build a store from the operator's certificates, all for the same clouds.

        Raises:
            TrustStoreError: there is no anchor.
        """
        scope = frozenset(Cloud(cloud) for cloud in clouds)
        store = cls(
            [TrustAnchor(c, scope, pinned=False) for c in dict.fromkeys(anchors)],
            [Intermediate(c, scope, pinned=False) for c in dict.fromkeys(intermediates)],
        )
        if not store.anchors:
            msg = "there is no trust anchor (self-signed certificate) among the certificates"
            raise TrustStoreError(msg)
        return store

    @classmethod
    def from_pem(cls, path: str | Path, *, clouds: Collection[Cloud]) -> TrustStore:
        """Build a store from a PEM file, or a folder's ``*.pem``, ``*.crt`` and ``*.cer`` files.

        Self-signed certificates become anchors, the others intermediates, all for ``clouds``.

        Raises:
            TrustStoreError: a file cannot be read, or none holds an anchor.
        """
        try:
            certificates = read_certificate_files(Path(path))
        except OSError as error:
            raise TrustStoreError(f"{error.filename}: {error.strerror}") from None
        except ValueError as error:
            raise TrustStoreError(str(error)) from None
        return cls.from_certificates(
            anchors=[c for c in certificates if is_self_signed(c)],
            intermediates=[c for c in certificates if not is_self_signed(c)],
            clouds=clouds,
        )


@dataclass(frozen=True, slots=True)
class _CloudView:
    anchors: tuple[x509.Certificate, ...]
    intermediates: tuple[x509.Certificate, ...]
    operators: frozenset[x509.Certificate]


def _for_cloud(
    cloud: Cloud, anchors: Iterable[TrustAnchor], intermediates: Iterable[Intermediate]
) -> _CloudView:
    roots = [item for item in anchors if cloud in item.clouds]
    links = [item for item in intermediates if cloud in item.clouds]
    members: list[TrustAnchor | Intermediate] = [*roots, *links]
    pinned = {item.certificate for item in members if item.pinned}
    certificates = tuple(dict.fromkeys(item.certificate for item in roots))
    return _CloudView(
        certificates,
        tuple(issued_under(certificates, (item.certificate for item in links))),
        frozenset(item.certificate for item in members) - pinned,
    )


def _generation(anchors: Iterable[TrustAnchor], intermediates: Iterable[Intermediate]) -> str:
    lines = [_line(Role.ANCHOR, item) for item in anchors]
    lines += [_line(Role.INTERMEDIATE, item) for item in intermediates]
    return hashlib.sha256("\n".join(sorted(set(lines))).encode()).hexdigest()


def _line(role: Role, item: TrustAnchor | Intermediate) -> str:
    return f"{role} {fingerprint(item.certificate)} {','.join(sorted(item.clouds))}"
