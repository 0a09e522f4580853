"""Certificates as such: reading files, naming them, and which ones an anchor has issued."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

MAX_FILE = 16 * 1024 * 1024  # a large CRL
_PEM_CRL = re.compile(b"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)
_T = TypeVar("_T")
# A CA key outside these bounds costs more to use than any real one (BR section 6.1.5).
_MIN_CA_RSA_BITS, _MAX_CA_RSA_BITS = 2048, 8192
_MAX_CA_RSA_EXPONENT = 2**64 - 1

# What cryptography raises for certificates that it cannot read; some of it only when the part
# in question is first used, and warnings where the caller made them errors.
UNREADABLE = (
    ValueError,
    TypeError,
    KeyError,
    OverflowError,
    Warning,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True, slots=True)
class CertificateInfo:
    """A certificate for a person or a log: names, dates, fingerprint.

    Attributes:
        subject: the subject name (RFC 4514).
        issuer: the issuer name (RFC 4514).
        serial_number: in hexadecimal, lower case.
        sha256: the SHA-256 fingerprint of the DER, in hexadecimal, lower case.
        not_before: start of validity, in UTC.
        not_after: end of validity, in UTC.
        dns_names: the dNSNames of the subjectAltName.
    """

    subject: str
    issuer: str
    serial_number: str
    sha256: str
    not_before: datetime
    not_after: datetime
    dns_names: tuple[str, ...]


def describe(certificate: x509.Certificate) -> CertificateInfo:
    """Describe a certificate that :func:`read_fully` could read."""
    return CertificateInfo(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        serial_number=f"{certificate.serial_number:x}",
        sha256=fingerprint(certificate),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        dns_names=_dns_names(certificate),
    )


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of the certificate's DER, in lower-case hexadecimal."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def common_name(name: x509.Name) -> str:
    """Return the common name for display, or the whole name where there is not exactly one."""
    values = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(values[0].value) if len(values) == 1 else name.rfc4514_string()


def load_certificates(data: bytes) -> list[x509.Certificate]:
    """Read certificates from the contents of a file: PEM (RFC 7468), or one as DER.

    Raises:
        ValueError: the data holds no certificate, or a damaged one.
    """
    try:
        if b"-----BEGIN" in data:
            found = [read_fully(one) for one in x509.load_pem_x509_certificates(data)]
            # A last block without its end is passed over in silence: a file that was cut off.
            if len(found) < data.count(b"-----BEGIN CERTIFICATE-----"):
                raise ValueError("a PEM block is cut off")
            return found
        return [read_fully(x509.load_der_x509_certificate(data))]
    except UNREADABLE as error:
        raise ValueError(str(error)) from None


def readable_certificates(ders: Iterable[bytes]) -> Iterator[x509.Certificate]:
    """Yield those of the certificates (DER) that can be read in full; skip the others."""
    for der in ders:
        with contextlib.suppress(*UNREADABLE):
            yield read_fully(x509.load_der_x509_certificate(der))


def read_fully(certificate: x509.Certificate) -> x509.Certificate:
    """Read every part that is parsed on first use, so that no later step stumbles on it.

    Returns:
        The certificate.

    Raises:
        Exception: one of :data:`UNREADABLE`.
    """
    _ = certificate.extensions
    _ = certificate.subject, certificate.issuer
    _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return certificate


def load_crls(data: bytes) -> list[x509.CertificateRevocationList]:
    """Read CRLs from the contents of a file: PEM (RFC 7468), or one as DER.

    Raises:
        ValueError: the data holds no CRL, or a damaged one.
    """
    if b"-----BEGIN" not in data:
        return [x509.load_der_x509_crl(data)]
    blocks = _PEM_CRL.findall(data)
    if not blocks:
        raise ValueError("no PEM block of X509 CRL")
    return [x509.load_pem_x509_crl(block) for block in blocks]


def read_certificate_files(path: Path) -> list[x509.Certificate]:
    """Read a file, or every ``*.pem``, ``*.crt`` and ``*.cer`` of a folder, in order of name.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file holds no certificate, or a damaged one, or a folder holds no such
            file; the message names it.
    """
    return _read_files(path, load_certificates, {".pem", ".crt", ".cer"})


def read_crl_files(path: Path) -> list[x509.CertificateRevocationList]:
    """Read a file, or every ``*.crl`` and ``*.pem`` of a folder, in order of name.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file holds no CRL, or a damaged one, or a folder holds no such file; the
            message names it.
    """
    return _read_files(path, load_crls, {".crl", ".pem"})


def _read_files(path: Path, load: Callable[[bytes], list[_T]], suffixes: set[str]) -> list[_T]:
    files = [path]
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in suffixes)
        if not files:
            raise ValueError(f"{path}: no file of it ends in {' or '.join(sorted(suffixes))}")
    found: list[_T] = []
    for file in files:
        try:
            found += load(_read_bounded(file))
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
    return found


def _read_bounded(file: Path) -> bytes:
    with file.open("rb") as stream:
        data = stream.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise ValueError(f"more than {MAX_FILE} octets")
    return data


def is_self_signed(certificate: x509.Certificate) -> bool:
    """Tell whether the certificate's own name and key made it.

    Old roots signed themselves with SHA-1 (RFC 4055 section 5), which counts here and nowhere
    else: a root is trusted for being pinned, not for its signature.
    """
    try:
        if not isinstance(certificate.signature_hash_algorithm, hashes.SHA1):
            return is_issued_by(certificate, certificate)
        key, signature = certificate.public_key(), certificate.signature
        if not is_self_issued(certificate) or not isinstance(key, rsa.RSAPublicKey):
            return False
        key.verify(signature, certificate.tbs_certificate_bytes, PKCS1v15(), hashes.SHA1())  # noqa: S303
    except (InvalidSignature, *UNREADABLE):
        return False
    return True


def is_self_issued(certificate: x509.Certificate) -> bool:
    """Tell whether subject and issuer are the same name (RFC 5280 section 3.2)."""
    return certificate.subject == certificate.issuer


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell whether ``issuer``'s name and key made this certificate; nothing else is checked."""
    try:
        if certificate.issuer != issuer.subject:
            return False
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *UNREADABLE):
        return False
    return True


def issued_under(
    trusted: Sequence[x509.Certificate], candidates: Iterable[x509.Certificate]
) -> list[x509.Certificate]:
    """Return the candidates that chains of CAs' signatures connect to the trusted certificates.

    This is the gate before path validation.  Whoever holds no key of a CA below an anchor gets
    nothing through it, so no graph that an attacker draws is ever searched: with n candidates
    at most n*n signatures are verified, and far fewer where the names differ.

    Args:
        trusted: anchors, and CA certificates already connected to them.
        candidates: certificates from anywhere; duplicates, self-issued certificates, those
            with keys of unreasonable size or with name constraints that the path verifier does
            not know, and those that cannot be parsed are dropped.

    Returns:
        The connected ones, in the order in which they connected; none of ``trusted``.
    """
    connected: list[x509.Certificate] = []
    waiting = [c for c in dict.fromkeys(candidates) if c not in trusted and _is_usable(c)]
    frontier: list[x509.Certificate] = list(trusted)
    while frontier and waiting:
        reached = [c for c in waiting if any(is_issued_by(c, issuer) for issuer in frontier)]
        waiting = [c for c in waiting if c not in reached]
        connected += reached
        # The path verifier asks the same (RFC 5280 section 6.1.4 k).  Asked here, it keeps the
        # holder of an ordinary certificate under a pinned CA from drawing a graph below that.
        frontier = [c for c in reached if is_ca(c)]
    return connected


def is_usable_ca(certificate: x509.Certificate) -> bool:
    """Tell whether the gate of :func:`issued_under` lets a certificate and what is below it pass.

    It must be a CA's, not self-issued, with a key and name constraints that can be used.
    """
    return _is_usable(certificate) and is_ca(certificate)


def _is_usable(certificate: x509.Certificate) -> bool:
    try:
        return (
            not is_self_issued(read_fully(certificate))
            and _has_usable_key(certificate)
            and _has_usable_constraints(certificate)
        )
    except UNREADABLE:
        return False


def is_ca(certificate: x509.Certificate) -> bool:
    """Tell whether basicConstraints says that it is a CA's (RFC 5280 section 4.2.1.9)."""
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        return False
    return constraints.value.ca


def _has_usable_key(certificate: x509.Certificate) -> bool:
    public_key = certificate.public_key()
    if isinstance(public_key, rsa.RSAPublicKey):
        return (
            _MIN_CA_RSA_BITS <= public_key.key_size <= _MAX_CA_RSA_BITS
            and public_key.public_numbers().e <= _MAX_CA_RSA_EXPONENT
        )
    return isinstance(public_key, ec.EllipticCurvePublicKey)


def _has_usable_constraints(certificate: x509.Certificate) -> bool:
    # cryptography's path verifier knows constraints on DNS names and IP addresses.  One CA with
    # others would end its whole search, not only that branch; without that CA there are fewer
    # paths, never more.
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return True
    subtrees = (*(constraints.permitted_subtrees or ()), *(constraints.excluded_subtrees or ()))
    return all(isinstance(name, (x509.DNSName, x509.IPAddress)) for name in subtrees)


def _dns_names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(names.value.get_values_for_type(x509.DNSName))
