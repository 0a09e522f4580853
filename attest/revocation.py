"""Step 9: revocation by CRLs (RFC 5280 section 6.3) on the path that step 8 built.

OpenSSL, through pyOpenSSL, reads the CRLs: scopes, partitions and reasons are its trade.  It is
given one path and no choice of another, and it fails closed: a certificate that no current CRL
speaks for is ``revocation_unknown``.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from OpenSSL import crypto

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
        crls: the CRLs to consult; those signed with SHA-1 or MD5 are not consulted.
        at: the time of verification, aware; each CRL must be current then.

    Raises:
        RevocationError: ``certificate_revoked``, or ``revocation_unknown`` when a certificate
            of the path has no CRL that is current and properly signed.
    """
    store = crypto.X509Store()
    anchor = path.certificates[-1]
    store.add_cert(crypto.X509.from_cryptography(anchor))
    for crl in crls:
        if isinstance(crl.signature_hash_algorithm, _CRL_HASHES):
            store.add_crl(crl)
    # CRL_CHECK_ALL alone checks nothing: it only widens CRL_CHECK.
    store.set_flags(
        crypto.X509StoreFlags.CRL_CHECK
        | crypto.X509StoreFlags.CRL_CHECK_ALL
        | crypto.X509StoreFlags.PARTIAL_CHAIN
    )
    # pyOpenSSL takes the time as naive UTC.
    store.set_time(at.astimezone(UTC).replace(tzinfo=None))
    signer, *issuers = [crypto.X509.from_cryptography(c) for c in path.certificates]
    context = crypto.X509StoreContext(store, signer, issuers[:-1])
    try:
        context.verify_certificate()
    except crypto.X509StoreContextError as error:
        _refuse(error)


def _refuse(error: crypto.X509StoreContextError) -> None:
    code, _depth, reason = error.errors
    who = quote(error.certificate.get_subject().CN)
    if code == _CERTIFICATE_REVOKED:
        raise RevocationError(Code.CERTIFICATE_REVOKED, f"{who} is revoked") from None
    msg = f"no CRL tells whether {who} is revoked: {reason}"
    raise RevocationError(Code.REVOCATION_UNKNOWN, msg) from None
