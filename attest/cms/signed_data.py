"""Decode a SignedData (RFC 5652 section 5.1) and pick the signer certificate by its sid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from cryptography.hazmat import asn1
from cryptography.x509 import ObjectIdentifier

from attest.cms import structures
from attest.cms.structures import (
    ID_DATA,
    ID_SIGNED_DATA,
    ID_SUBJECT_KEY_IDENTIFIER,
    SEQUENCE,
    SignerInfo,
    whole,
)
from attest.errors import CmsError, Code, quote

MAX_CERTIFICATES = 16
MAX_CERTIFICATE_SIZE = 8 * 1024


# Issuer (a Name, as DER) and serial number, or a SubjectKeyIdentifier.
Sid = tuple[bytes, int] | bytes


@dataclass(frozen=True, slots=True)
class SignedData:
    """A decoded SignedData with attached content; nothing in it is verified.

    Attributes:
        digest_algorithms: the AlgorithmIdentifiers that announce the signers' digests, as DER.
        content: the eContent octets, exactly as they were signed or not.
        certificates: each certificate of the bag as DER, in the order of the bag, not parsed;
            at most 16, each of at most 8,192 octets.
        signer_info: the one SignerInfo.
    """

    digest_algorithms: tuple[bytes, ...]
    content: bytes
    certificates: tuple[bytes, ...]
    signer_info: SignerInfo

    @property
    def sid(self) -> Sid:
        """What names the signer certificate (RFC 5652 section 5.3)."""
        sid = self.signer_info.sid
        return sid if isinstance(sid, bytes) else (whole(sid.issuer), sid.serial_number)


def parse_signed_data(der: bytes) -> SignedData:
    """Decode a ContentInfo that holds a SignedData with attached id-data content.

    Args:
        der: the whole ContentInfo and nothing after it; the caller has bounded its size.

    Raises:
        CmsError: ``cms_malformed``, ``content_missing``, ``content_type_unsupported``,
            ``too_many_certificates`` or ``signer_count``.
    """
    signed_data = _decode(der)
    encapsulated = signed_data.encap_content_info
    if encapsulated.content_type != ID_DATA:
        _refuse_content_type("eContentType", encapsulated.content_type)
    if encapsulated.content is None:
        raise CmsError(Code.CONTENT_MISSING, "the SignedData is detached: it has no eContent")
    certificates = signed_data.certificates or []
    if len(certificates) > MAX_CERTIFICATES:
        msg = f"{len(certificates)} certificates; the limit is {MAX_CERTIFICATES}"
        raise CmsError(Code.TOO_MANY_CERTIFICATES, msg)
    signer_infos = signed_data.signer_infos.as_list()
    if len(signer_infos) != 1:
        msg = f"{len(signer_infos)} SignerInfos; exactly one is expected"
        raise CmsError(Code.SIGNER_COUNT, msg)
    _check_versions(signed_data.version, signer_infos[0])
    return SignedData(
        tuple([whole(element) for element in signed_data.digest_algorithms.as_list()]),
        encapsulated.content,
        tuple([_certificate_der(element) for element in certificates]),
        signer_infos[0],
    )


def select_signer(signed_data: SignedData) -> bytes:
    """Return the signer certificate as DER: the one that the sid names (RFC 5652 section 5.3).

    Names compare octet by octet: a signer copies its own certificate's issuer.

    Raises:
        CmsError: ``signer_certificate_missing`` when the bag does not hold it,
            ``cms_malformed`` when a certificate of the bag cannot be decoded, two different
            certificates answer to the sid, or the one that does has a serial number that is
            not positive (RFC 5280 section 4.1.2.2).
    """
    sid = signed_data.sid
    found = set()
    for der in signed_data.certificates:
        identity = _identity(der)
        if sid in {identity.issuer_and_serial_number, identity.key_identifier}:
            if identity.issuer_and_serial_number[1] <= 0:
                msg = "the signer certificate's serial number is not positive"
                raise CmsError(Code.CMS_MALFORMED, msg)
            found.add(der)
    if not found:
        msg = "no certificate of the bag is the one that the sid names"
        raise CmsError(Code.SIGNER_CERTIFICATE_MISSING, msg)
    if len(found) > 1:
        msg = "two different certificates of the bag answer to the sid"
        raise CmsError(Code.CMS_MALFORMED, msg)
    return found.pop()


@dataclass(frozen=True, slots=True)
class _Identity:
    """What a sid can name a certificate by: its issuer (DER) and serial number, or its key."""

    issuer_and_serial_number: tuple[bytes, int]
    key_identifier: bytes | None


def _identity(certificate: bytes) -> _Identity:
    try:
        decoded = asn1.decode_der(structures.Certificate, certificate)
        if decoded.signature.padding_bits():
            raise ValueError("the signature is not a whole number of octets")  # noqa: TRY301
        tbs = decoded.tbs_certificate
        extensions = [e.value for e in tbs.extensions or [] if e.oid == ID_SUBJECT_KEY_IDENTIFIER]
        key_identifier = asn1.decode_der(bytes, extensions[0]) if extensions else None
    except ValueError as error:
        msg = f"a certificate of the bag is not DER: {one_line(error)}"
        raise CmsError(Code.CMS_MALFORMED, msg) from None
    return _Identity((whole(tbs.issuer), tbs.serial_number), key_identifier)


def _decode(der: bytes) -> structures.SignedData:
    try:
        content_info = asn1.decode_der(structures.ContentInfo, der)
    except ValueError as error:
        _refuse_other_content(der)
        raise CmsError(Code.CMS_MALFORMED, f"not DER of a SignedData: {one_line(error)}") from None
    if content_info.content_type != ID_SIGNED_DATA:
        _refuse_content_type("contentType", content_info.content_type)
    return content_info.content


def _refuse_other_content(der: bytes) -> None:
    try:
        content_type = asn1.decode_der(structures.OtherContentInfo, der).content_type
    except ValueError:
        return
    if content_type != ID_SIGNED_DATA:
        _refuse_content_type("contentType", content_type)


def _refuse_content_type(field: str, content_type: ObjectIdentifier) -> NoReturn:
    msg = f"{field} is {quote(content_type.dotted_string)}"
    raise CmsError(Code.CONTENT_TYPE_UNSUPPORTED, msg)


def _check_versions(version: int, signer_info: SignerInfo) -> None:
    # RFC 5652 sections 5.1 and 5.3: both follow from how the sid names the certificate.
    by_key_identifier = isinstance(signer_info.sid, bytes)
    if (version, signer_info.version) != ((3, 3) if by_key_identifier else (1, 1)):
        msg = (
            f"SignedData version {quote(version)}, SignerInfo version {quote(signer_info.version)}"
        )
        raise CmsError(Code.CMS_MALFORMED, msg)


def _certificate_der(element: asn1.TLV) -> bytes:
    if element.tag_bytes != SEQUENCE:
        msg = "the bag holds something that is not an X.509 certificate"
        raise CmsError(Code.CMS_MALFORMED, msg)
    if len(element.data) > MAX_CERTIFICATE_SIZE:
        msg = f"a certificate of {len(element.data)} octets; the limit is {MAX_CERTIFICATE_SIZE}"
        raise CmsError(Code.CMS_MALFORMED, msg)
    return whole(element)


def one_line(error: ValueError) -> str:
    """Return a reader's complaint as one line of bounded length."""
    return quote(str(error).partition("\n")[0]).strip("'\"")
