"""The trust store that the service uses: pinned, plus what the settings add."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from cryptography import x509

from attest import Cloud, Intermediate, TrustStore, TrustStoreError
from attest.certificates import is_self_signed, read_certificate_files, read_crl_files
from service.settings import Settings, SettingsError
from service.trust_keeper import TrustKeeper

_Built = TypeVar("_Built")


def keep_trust(settings: Settings, build: Callable[[TrustStore], _Built]) -> TrustKeeper[_Built]:
    """Build the store of these settings, and watch over the folders that extend it.

    Args:
        settings: the operator's settings.
        build: makes what is used together with a store.

    Raises:
        SettingsError: a file is damaged, or an intermediate is connected to no anchor.
    """
    try:
        return TrustKeeper(_load_base(settings), settings.trust_dirs, build)
    except TrustStoreError as error:
        raise SettingsError(f"the trust store cannot be loaded: {error}") from None


def load_trust(settings: Settings) -> TrustStore:
    """Build the store of these settings, as it is now.

    Raises:
        SettingsError: a file is damaged, or an intermediate is connected to no anchor.
    """
    return keep_trust(settings, lambda store: store).generation.store


def load_crls(path: Path) -> tuple[x509.CertificateRevocationList, ...]:
    """Read the operator's CRLs.

    Raises:
        SettingsError: a file cannot be read, or there is none.
    """
    try:
        crls = tuple(read_crl_files(path))
    except (OSError, ValueError) as error:
        raise SettingsError(f"the CRLs cannot be loaded: {error}") from None
    if not crls:
        raise SettingsError(f"{path} holds no CRL")
    return crls


def expired_clouds(store: TrustStore, clouds: tuple[Cloud, ...], at: datetime) -> list[Cloud]:
    """Return the clouds none of whose anchors is valid at ``at``."""
    return [
        cloud
        for cloud in clouds
        if not any(
            anchor.not_valid_before_utc <= at <= anchor.not_valid_after_utc
            for anchor in store.anchors_for(cloud)
        )
    ]


def _load_base(settings: Settings) -> TrustStore:
    store = TrustStore.bundled() if settings.trust is None else TrustStore.load(settings.trust)
    if settings.test_trust is not None:
        store = _with_test_trust(store, settings.test_trust, frozenset(settings.clouds))
    if settings.intermediates is not None:
        store = _with_intermediates(store, settings.intermediates, frozenset(settings.clouds))
    return store


def _with_test_trust(store: TrustStore, path: Path, clouds: frozenset[Cloud]) -> TrustStore:
    added = TrustStore.from_pem(path, clouds=clouds)
    return store.extended(anchors=added.anchors, intermediates=added.intermediates)


def _with_intermediates(store: TrustStore, path: Path, clouds: frozenset[Cloud]) -> TrustStore:
    """Add links.  Whoever can write this file can add no anchor, and so no trust."""
    try:
        certificates = read_certificate_files(path)
    except (OSError, ValueError) as error:
        raise TrustStoreError(str(error)) from None
    if any(is_self_signed(certificate) for certificate in certificates):
        raise TrustStoreError(f"{path} holds a self-signed certificate, which is no intermediate")
    added = [Intermediate(certificate, clouds, pinned=False) for certificate in certificates]
    extended = store.extended(intermediates=added)
    for certificate in certificates:
        if not any(certificate in extended.intermediates_for(cloud) for cloud in clouds):
            name = certificate.subject.rfc4514_string()
            raise TrustStoreError(f"{path}: no chain of signatures leads from {name} to an anchor")
    return extended
