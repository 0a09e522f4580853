"""Step 4: is this the certificate of an Azure metadata signer (RFC 5280 section 4.2)?

What is checked here depends on the certificate alone, neither on time nor on trust, so that the
answer can be kept for as long as the certificate is trusted.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from attest.certificates import UNREADABLE, read_fully
from attest.clouds import Cloud, SignerName, match_signer_name
from attest.cms import VerificationKey
from attest.errors import CmsError, Code, SignerError, quote

SignerPublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192
# FIPS 186-5 appendix A.1.1 asks for more than 16 bits; more than 64 only slow a verifier down.
MIN_RSA_EXPONENT = 2**16 + 1
MAX_RSA_EXPONENT = 2**64 - 1
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)


@dataclass(frozen=True, slots=True)
class Signer:
    """A signer certificate that names an Azure cloud; whether it is trusted is not said.

    Attributes:
        certificate: the certificate that the sid names.
        key: its key, of a supported kind and size.
        cloud: the cloud that its subjectAltName belongs to.
        region: the Azure region that its subjectAltName tells, if it tells one.
        reference: a host name that the subjectAltName covers, for path validation.
    """

    certificate: x509.Certificate
    key: VerificationKey
    cloud: Cloud
    region: str | None
    reference: str


def load_certificate(der: bytes) -> x509.Certificate:
    """Parse the signer certificate, its extensions included.

    Raises:
        CmsError: ``cms_malformed`` when it is not an X.509 v3 certificate (RFC 5280 section 4.1)
            with a positive serial number and each extension at most once.
    """
    try:
        certificate = read_fully(x509.load_der_x509_certificate(der))
        if certificate.version is not x509.Version.v3:
            raise ValueError("it is not of version 3")
    except UNREADABLE as error:
        msg = f"the signer certificate cannot be read: {quote(str(error))}"
        raise CmsError(Code.CMS_MALFORMED, msg) from None
    return certificate


def read_signer(certificate: x509.Certificate) -> Signer:
    """Check names, key, keyUsage and extendedKeyUsage of the signer certificate.

    The common name is never consulted: where there is no subjectAltName there is no name
    (RFC 6125 section 6.4.4, docs/adr/0002).

    Raises:
        SignerError: ``signer_name_mismatch``, ``signer_key_unsupported`` or
            ``signer_usage_invalid``.
    """
    name = signer_name(certificate)
    public_key = signer_key(certificate)
    if isinstance(public_key, rsa.RSAPublicKey) and public_key.key_size < MIN_RSA_BITS:
        msg = f"RSA of {public_key.key_size} bits; at least {MIN_RSA_BITS} are needed"
        raise SignerError(Code.SIGNER_KEY_UNSUPPORTED, msg)
    _check_usage(certificate)
    return Signer(certificate, VerificationKey(public_key), name.cloud, name.region, name.reference)


def signer_name(certificate: x509.Certificate) -> SignerName:
    """Return what the certificate's subjectAltName says of cloud and region.

    Raises:
        SignerError: ``signer_name_mismatch``.
    """
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        msg = "the signer certificate has no subjectAltName"
        raise SignerError(Code.SIGNER_NAME_MISMATCH, msg) from None
    return match_signer_name(extension.value.get_values_for_type(x509.DNSName))


def verification_key(certificate: x509.Certificate) -> VerificationKey:
    """Return the key as step 5 takes it, too short for step 4 though it may be.

    Raises:
        SignerError: as :func:`signer_key`.
    """
    return VerificationKey(signer_key(certificate))


def signer_key(certificate: x509.Certificate) -> SignerPublicKey:
    """Return the certificate's key if using it is affordable: no long work before trust.

    Raises:
        SignerError: ``signer_key_unsupported`` when it is neither RSA of at most 8,192 bits with
            an odd exponent of 17 to 64 bits, nor ECDSA on P-256, P-384 or P-521.
    """
    try:
        public_key = certificate.public_key()
    except UNREADABLE as error:
        msg = f"the key cannot be read: {quote(str(error))}"
        raise SignerError(Code.SIGNER_KEY_UNSUPPORTED, msg) from None
    if isinstance(public_key, rsa.RSAPublicKey):
        exponent = public_key.public_numbers().e
        if (
            public_key.key_size > MAX_RSA_BITS
            or not MIN_RSA_EXPONENT <= exponent <= MAX_RSA_EXPONENT
            or exponent % 2 == 0
        ):
            msg = f"RSA of {public_key.key_size} bits with the exponent {quote(exponent)}"
            raise SignerError(Code.SIGNER_KEY_UNSUPPORTED, msg)
        return public_key
    if isinstance(public_key, ec.EllipticCurvePublicKey) and isinstance(public_key.curve, _CURVES):
        return public_key
    msg = "the key is neither RSA nor ECDSA on P-256, P-384 or P-521"
    raise SignerError(Code.SIGNER_KEY_UNSUPPORTED, msg)


def _check_usage(certificate: x509.Certificate) -> None:
    extensions = certificate.extensions
    try:
        usages = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        usages = x509.ExtendedKeyUsage([])
    if ExtendedKeyUsageOID.SERVER_AUTH not in usages:
        msg = "extendedKeyUsage does not hold serverAuth"
        raise SignerError(Code.SIGNER_USAGE_INVALID, msg)
    try:
        key_usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not key_usage.digital_signature:
        msg = "keyUsage does not hold digitalSignature"
        raise SignerError(Code.SIGNER_USAGE_INVALID, msg)
