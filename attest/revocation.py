"""Step 9: revocation by CRLs (RFC 5280 section 6.3) on the path that step 8 built.

OpenSSL, through pyOpenSSL, reads the CRLs: scopes, partitions and reasons are its trade.  It is
given one link of that path at a time, and it fails closed: a certificate that no current CRL
speaks for is ``revocation_unknown``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL import crypto

from attest.certificates import UNREADABLE, common_name
from attest.errors import Code, RevocationError, quote
from attest.path import CertificatePath

_CERTIFICATE_REVOKED = 23  # X509_V_ERR_CERT_REVOKED
_CRL_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


def check_revocation(
    path: CertificatePath, crls: Iterable[x509.CertificateRevocationList], at: datetime
) -> None:
    """Refuse a path of which a certificate, the anchor aside, is revoked at ``at``.

    Args:
        path: the validated path.
        crls: the CRLs to consult; those signed with SHA-1 or MD5, not by an issuer of the
            path, or without the mandatory nextUpdate (RFC 5280 section 5.1.2.5) are not.
        at: the time of verification, aware; each CRL must be current then.

    Raises:
        RevocationError: ``certificate_revoked``, or ``revocation_unknown`` when a certificate
            of the path has no CRL that is current and properly signed.
    """
    usable = [crl for crl in crls if _is_usable(crl, path)]
    for certificate, issuer in itertools.pairwise(path.certificates):
        _check_link(certificate, issuer, usable, at)


def _check_link(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    crls: Iterable[x509.CertificateRevocationList],
    at: datetime,
) -> None:
    # One link at a time: over a whole path OpenSSL would also ask for a CRL on an anchor that
    # is not self-signed, and an anchor is revoked by taking it out of the store.
    store = crypto.X509Store()
    store.add_cert(crypto.X509.from_cryptography(issuer))
    for crl in crls:
        store.add_crl(crl)
    store.set_flags(crypto.X509StoreFlags.CRL_CHECK | crypto.X509StoreFlags.PARTIAL_CHAIN)
    # pyOpenSSL takes the time as naive UTC.
    store.set_time(at.astimezone(UTC).replace(tzinfo=None))
    context = crypto.X509StoreContext(store, crypto.X509.from_cryptography(certificate))
    try:
        context.verify_certificate()
    except crypto.X509StoreContextError as error:
        code, _depth, reason = error.errors
        who = quote(common_name(certificate.subject))
        if code == _CERTIFICATE_REVOKED:
            raise RevocationError(Code.CERTIFICATE_REVOKED, f"{who} is revoked") from None
        msg = f"no CRL tells whether {who} is revoked: {reason}"
        raise RevocationError(Code.REVOCATION_UNKNOWN, msg) from None


def _is_usable(crl: x509.CertificateRevocationList, path: CertificatePath) -> bool:
    # A CRL in the name of an issuer, made with another key, must not stand before the good one;
    # OpenSSL takes one without nextUpdate for current for ever.
    try:
        return (
            crl.next_update_utc is not None
            and isinstance(crl.signature_hash_algorithm, _CRL_HASHES)
            and any(
                crl.issuer == issuer.subject and _signed(crl, issuer)
                for issuer in path.certificates[1:]
            )
        )
    except UNREADABLE:
        return False


def _signed(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    key = issuer.public_key()
    return isinstance(
        key, (rsa.RSAPublicKey, ec.EllipticCurvePublicKey)
    ) and crl.is_signature_valid(key)
