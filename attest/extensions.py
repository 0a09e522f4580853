"""Reads what a certificate's extensions say of its issuer (RFC 5280 sections 4.2.1 and 4.2.2)."""

from __future__ import annotations

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from attest.certificates import UNREADABLE


def authority_key_identifier(certificate: x509.Certificate) -> bytes | None:
    """Return the keyIdentifier that it gives for its issuer's key, if any."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    except x509.ExtensionNotFound:
        return None
    return extension.value.key_identifier


def subject_key_identifier(certificate: x509.Certificate) -> bytes | None:
    """Return the identifier that it gives for its own key, if any."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        return None
    return extension.value.key_identifier


def ca_issuers(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return where it says that its issuer's certificates are: id-ad-caIssuers, URIs only.

    Whoever made the certificate wrote them; nothing about them is checked.
    """
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess)
    except (x509.ExtensionNotFound, *UNREADABLE):
        return ()
    return tuple(
        description.access_location.value
        for description in access.value
        if description.access_method == AuthorityInformationAccessOID.CA_ISSUERS
        and isinstance(description.access_location, x509.UniformResourceIdentifier)
    )
