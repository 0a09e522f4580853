"""Faults of the envelope: IMDS's JSON, base64, DER and the frame of the SignedData."""

from __future__ import annotations

import json

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ObjectIdentifier

from attest.errors import Code
from attest.testing import der, encoder
from attest.testing.authority import sid_of
from attest.testing.mutations.case import Catalogue, Forge, Forged
from attest.testing.signers import SignerOptions

CATALOGUE = Catalogue()
fault = CATALOGUE.fault

_TOO_LARGE = 70_000  # octets; the verifier reads 65,536
_TOO_MANY = 17  # certificates; the verifier reads 16
_TOO_LONG = 9000  # octets of a certificate; the verifier reads 8,192
_TST_INFO = "1.2.840.113549.1.9.16.1.4"  # RFC 3161: a time stamp's content


@fault(Code.EVIDENCE_NOT_BASE64)
def not_base64(forge: Forge) -> Forged:
    """The signature holds a character that base64 does not have."""
    return _answer(signature=f"!{forge.sign().base64}")


@fault(Code.EVIDENCE_NOT_BASE64)
def base64_cut_short(forge: Forge) -> Forged:
    """The signature ends one character into a group of four."""
    return _answer(signature=forge.sign().base64[:-3])


@fault(Code.EVIDENCE_MALFORMED)
def encoding_other(forge: Forge) -> Forged:
    """The answer says another encoding than pkcs7."""
    return _answer(encoding="jws", signature=forge.sign().base64)


@fault(Code.EVIDENCE_MALFORMED)
def signature_absent(_forge: Forge) -> Forged:
    """The answer is an error of IMDS, not a document."""
    return Forged(text='{"error":"Bad request. Required metadata header not specified"}')


@fault(Code.EVIDENCE_MALFORMED)
def signature_not_text(_forge: Forge) -> Forged:
    """The signature is a number."""
    return _answer(signature=1)


@fault(Code.EVIDENCE_MALFORMED)
def signature_empty_text(_forge: Forge) -> Forged:
    """The signature is an empty text."""
    return _answer(signature="")


@fault(Code.EVIDENCE_MALFORMED)
def signature_repeated(forge: Forge) -> Forged:
    """The answer has two signatures; two readers may pick different ones."""
    text = forge.sign().json
    return Forged(text=f'{{"signature":"",{text[1:]}')


@fault(Code.EVIDENCE_MALFORMED)
def answer_cut_short(forge: Forge) -> Forged:
    """The answer's JSON ends early."""
    return Forged(text=forge.sign().json[:-1])


@fault(Code.EVIDENCE_TOO_LARGE)
def too_large(forge: Forge) -> bytes:
    """The evidence is larger than 64 KiB."""
    return forge.sign(content=b" " * _TOO_LARGE).der


@fault(Code.CMS_MALFORMED)
def trailing_octet(forge: Forge) -> bytes:
    """One octet follows the ContentInfo."""
    return forge.sign().der + b"\x00"


@fault(Code.CMS_MALFORMED)
def trailing_document(forge: Forge) -> bytes:
    """A second ContentInfo follows the first."""
    evidence = forge.sign().der
    return evidence + evidence


@fault(Code.CMS_MALFORMED)
def cut_short(forge: Forge) -> bytes:
    """The last octet is missing."""
    return forge.sign().der[:-1]


@fault(Code.CMS_MALFORMED)
def not_der(_forge: Forge) -> bytes:
    """The octets are no ASN.1 at all."""
    return b"not a signature"


@fault(Code.CMS_MALFORMED)
def indefinite_length(forge: Forge) -> bytes:
    """The ContentInfo is BER with an indefinite length."""
    return b"\x30\x80" + der.read(forge.sign().der)[1] + b"\x00\x00"


@fault(Code.CMS_MALFORMED)
def length_not_shortest(forge: Forge) -> bytes:
    """The ContentInfo's length has a leading zero octet."""
    contents = der.read(forge.sign().der)[1]
    return b"\x30\x83" + len(contents).to_bytes(3, "big") + contents


@fault(Code.CMS_MALFORMED)
def content_constructed(forge: Forge) -> bytes:
    """The content is a constructed OCTET STRING of two parts, which BER allows."""
    content = forge.content()
    halves = der.octet_string(content[:9]) + der.octet_string(content[9:])
    good = forge.wrap(content, [forge.info(content)])
    frame = der.children(der.children(der.children(good)[1])[0])
    frame[2] = der.sequence(der.oid(encoder.ID_DATA), der.explicit(0, der.tlv(0x24, halves)))
    return der.sequence(der.oid(encoder.ID_SIGNED_DATA), der.explicit(0, der.sequence(*frame)))


@fault(Code.CONTENT_MISSING)
def detached(forge: Forge) -> bytes:
    """The signed content is left out."""
    return forge.wrap(None, [forge.info(forge.content())])


@fault(Code.CONTENT_TYPE_UNSUPPORTED)
def unsigned_data(forge: Forge) -> bytes:
    """The ContentInfo holds the document as plain data; nobody signed."""
    content = der.octet_string(forge.content())
    return der.sequence(der.oid(encoder.ID_DATA), der.explicit(0, content))


@fault(Code.CONTENT_TYPE_UNSUPPORTED)
def content_type_time_stamp(forge: Forge) -> bytes:
    """The signed content is declared a time stamp, not data."""
    content = forge.content()
    certificates = [forge.authority.default_signer.der]
    return encoder.signed_data(content, certificates, [forge.info(content)], content_type=_TST_INFO)


@fault(Code.TOO_MANY_CERTIFICATES)
def too_many_certificates(forge: Forge) -> bytes:
    """The bag holds seventeen certificates."""
    content = forge.content()
    certificates = [forge.authority.default_signer.der] * _TOO_MANY
    return encoder.signed_data(content, certificates, [forge.info(content)])


@fault(Code.CMS_MALFORMED)
def certificate_too_long(forge: Forge) -> bytes:
    """The signer certificate is longer than 8 KiB."""
    filler = x509.UnrecognizedExtension(
        ObjectIdentifier("1.3.6.1.4.1.311.21.10"), der.octet_string(bytes(_TOO_LONG))
    )
    options = SignerOptions(extensions=((filler, False),))
    return forge.sign(signer=forge.authority.issue_signer(options=options)).der


@fault(Code.CMS_MALFORMED)
def certificate_garbage(forge: Forge) -> bytes:
    """Beside the signer's, the bag holds a certificate that is none."""
    content = forge.content()
    certificates = [der.sequence(der.integer(1)), forge.authority.default_signer.der]
    return encoder.signed_data(content, certificates, [forge.info(content)])


@fault(Code.CMS_MALFORMED)
def certificate_of_other_kind(forge: Forge) -> bytes:
    """The bag holds an attribute certificate."""
    content = forge.content()
    certificates = [forge.authority.default_signer.der, der.explicit(2, der.integer(1))]
    return encoder.signed_data(content, certificates, [forge.info(content)])


@fault(Code.SIGNER_COUNT)
def no_signer_info(forge: Forge) -> bytes:
    """There is no SignerInfo."""
    return forge.wrap(forge.content(), [])


@fault(Code.SIGNER_COUNT)
def two_signer_infos(forge: Forge) -> bytes:
    """A stranger's SignerInfo stands beside the good one."""
    content = forge.content()
    stranger = forge.twin().default_signer
    certificates = [forge.authority.default_signer.der, stranger.der]
    infos = [forge.info(content), forge.info(content, stranger)]
    return encoder.signed_data(content, certificates, infos)


@fault(Code.SIGNER_COUNT)
def signer_info_twice(forge: Forge) -> bytes:
    """The good SignerInfo stands there twice."""
    content = forge.content()
    return forge.wrap(content, [forge.info(content)] * 2)


@fault(Code.CMS_MALFORMED)
def signed_data_version_other(forge: Forge) -> bytes:
    """The SignedData says version 3, which belongs to another kind of sid."""
    content = forge.content()
    certificates = [forge.authority.default_signer.der]
    return encoder.signed_data(content, certificates, [forge.info(content)], version=3)


@fault(Code.CMS_MALFORMED)
def signer_info_version_other(forge: Forge) -> bytes:
    """The SignerInfo names the signer by issuer, and says version 3."""
    content, signer = forge.content(), forge.authority.default_signer
    info = encoder.signer_info(content, sid_of(signer), signer.key, version=3)
    return encoder.signed_data(content, [signer.der], [info], version=1)


@fault(Code.SIGNER_CERTIFICATE_MISSING)
def no_certificate(forge: Forge) -> bytes:
    """The bag of certificates is left out."""
    content = forge.content()
    return encoder.signed_data(content, [], [forge.info(content)])


@fault(Code.SIGNER_CERTIFICATE_MISSING)
def sid_of_nobody(forge: Forge) -> bytes:
    """The sid has the serial number of no certificate in the bag."""
    content, signer = forge.content(), forge.authority.default_signer
    certificate = signer.certificate
    other = der.integer(certificate.serial_number + 1)
    sid = der.sequence(certificate.issuer.public_bytes(), other)
    info = encoder.signer_info(content, sid, signer.key)
    return encoder.signed_data(content, [signer.der], [info])


@fault(Code.SIGNER_CERTIFICATE_MISSING)
def sid_of_other_key(forge: Forge) -> bytes:
    """The sid is the key identifier of no certificate in the bag."""
    content, signer = forge.content(), forge.authority.default_signer
    info = encoder.signer_info(content, der.implicit(0, bytes(20)), signer.key)
    return encoder.signed_data(content, [signer.der], [info])


@fault(Code.CMS_MALFORMED)
def sid_of_two(forge: Forge) -> bytes:
    """Two different certificates of the bag answer to the sid."""
    signer = forge.authority.default_signer
    options = SignerOptions(serial_number=signer.certificate.serial_number)
    namesake = forge.twin().issue_signer(options=options)
    content = forge.content()
    certificates = [signer.der, namesake.der]
    return encoder.signed_data(content, certificates, [forge.info(content)])


@fault(Code.ISSUER_UNKNOWN)
def stranger_beside_good_certificate(forge: Forge) -> bytes:
    """A good certificate stands first in the bag; the sid names a stranger's, who signed."""
    content, stranger = forge.content(), forge.twin().default_signer
    certificates = [forge.authority.default_signer.der, stranger.der]
    return encoder.signed_data(content, certificates, [forge.info(content, stranger)])


@fault(Code.ISSUER_UNKNOWN)
def evidence_brings_root(forge: Forge) -> bytes:
    """The bag brings a stranger's whole path, root included."""
    twin = forge.twin()
    path = (*twin.intermediates, *twin.anchors)
    content = forge.content()
    certificates = [twin.default_signer.der]
    certificates += [c.public_bytes(serialization.Encoding.DER) for c in path]
    info = forge.info(content, twin.default_signer)
    return encoder.signed_data(content, certificates, [info])


def _answer(**values: object) -> Forged:
    return Forged(text=json.dumps({"encoding": "pkcs7", **values}))
