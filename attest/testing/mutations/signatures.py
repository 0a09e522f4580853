"""Faults of the signature, its algorithms and the signed attributes."""

from __future__ import annotations

from attest.errors import Code
from attest.testing import der, encoder
from attest.testing.keys import (
    RSA_ENCRYPTION,
    Digest,
    algorithm,
    digest_algorithm,
    digest_octets,
    sign,
    signature_algorithm,
)
from attest.testing.mutations.case import Catalogue, Forge, spare_rsa_key

CATALOGUE = Catalogue()
fault = CATALOGUE.fault

_RSASSA_PSS = "1.2.840.113549.1.1.10"
_OTHER_VM = "00000000-0000-4000-8000-000000000001"


@fault(Code.SIGNATURE_INVALID)
def vm_id_replaced(forge: Forge) -> bytes:
    """The document was signed for another VM; its vmId was replaced afterwards."""
    theirs = forge.content(vm_id=_OTHER_VM, override={})
    return forge.wrap(forge.content(), [forge.info(theirs)])


@fault(Code.SIGNATURE_INVALID)
def content_padded(forge: Forge) -> bytes:
    """White space was added to the document after it was signed."""
    content = forge.content()
    return forge.wrap(content + b" ", [forge.info(content)])


@fault(Code.SIGNATURE_INVALID)
def signature_swapped(forge: Forge) -> bytes:
    """The signature is the good one of an older document of the same VM."""
    older = forge.content(override={"nonce": "20181128-001617"})
    return forge.wrap(forge.content(), [forge.info(older)])


@fault(Code.SIGNATURE_INVALID)
def signature_of_stranger(forge: Forge) -> bytes:
    """The sid names the good signer; a stranger's key made the signature."""
    content = forge.content()
    signature = sign(spare_rsa_key(), content, Digest.SHA256)
    return forge.wrap(content, [forge.info(content, signature=signature)])


@fault(Code.SIGNATURE_INVALID)
def signature_bit_flipped(forge: Forge) -> bytes:
    """One bit of the signature is wrong."""
    content, signer = forge.content(), forge.authority.default_signer
    signature = bytearray(sign(signer.key, content, Digest.SHA256))
    signature[-1] ^= 1
    return forge.wrap(content, [forge.info(content, signature=bytes(signature))])


@fault(Code.SIGNATURE_INVALID)
def signature_zero(forge: Forge) -> bytes:
    """Every bit of the signature is zero."""
    content = forge.content()
    return forge.wrap(content, [forge.info(content, signature=bytes(256))])


@fault(Code.SIGNATURE_INVALID)
def signature_empty(forge: Forge) -> bytes:
    """The signature has no octets."""
    content = forge.content()
    return forge.wrap(content, [forge.info(content, signature=b"")])


@fault(Code.ALGORITHM_UNSUPPORTED)
def digest_sha1(forge: Forge) -> bytes:
    """The document is signed with SHA-1."""
    return _with_digest(forge, Digest.SHA1)


@fault(Code.ALGORITHM_UNSUPPORTED)
def digest_md5(forge: Forge) -> bytes:
    """The document is signed with MD5."""
    return _with_digest(forge, Digest.MD5)


@fault(Code.ALGORITHM_UNSUPPORTED)
def digests_disagree(forge: Forge) -> bytes:
    """DigestAlgorithm says SHA-256, signatureAlgorithm says SHA-384."""
    content, signer = forge.content(), forge.rsa_signer()
    named = (
        digest_algorithm(Digest.SHA256),
        signature_algorithm(signer.key, Digest.SHA384),
    )
    return forge.wrap(content, [forge.info(content, signer, named=named)], signer)


@fault(Code.SIGNATURE_INVALID)
def digest_misnamed(forge: Forge) -> bytes:
    """SHA-256 was signed; both algorithms say SHA-384."""
    content, signer = forge.content(), forge.authority.default_signer
    named = (
        digest_algorithm(Digest.SHA384),
        signature_algorithm(signer.key, Digest.SHA384),
    )
    return forge.wrap(content, [forge.info(content, named=named)])


@fault(Code.ALGORITHM_UNSUPPORTED)
def key_kind_disagrees(forge: Forge) -> bytes:
    """SignatureAlgorithm says ECDSA; the signer's key is RSA."""
    content, signer = forge.content(), forge.rsa_signer()
    named = (digest_algorithm(Digest.SHA256), algorithm("1.2.840.10045.4.3.2", null=False))
    return forge.wrap(content, [forge.info(content, signer, named=named)], signer)


@fault(Code.ALGORITHM_UNSUPPORTED)
def rsa_pss(forge: Forge) -> bytes:
    """SignatureAlgorithm says RSASSA-PSS, which Azure does not use."""
    content, signer = forge.content(), forge.rsa_signer()
    named = (digest_algorithm(Digest.SHA256), algorithm(_RSASSA_PSS, null=False))
    return forge.wrap(content, [forge.info(content, signer, named=named)], signer)


@fault(Code.ALGORITHM_UNSUPPORTED)
def digest_is_no_digest(forge: Forge) -> bytes:
    """DigestAlgorithm says rsaEncryption, which names no digest."""
    content, signer = forge.content(), forge.rsa_signer()
    named = (algorithm(RSA_ENCRYPTION), algorithm(RSA_ENCRYPTION))
    return forge.wrap(content, [forge.info(content, signer, named=named)], signer)


@fault(Code.SIGNED_ATTRIBUTES_INVALID)
def message_digest_other(forge: Forge) -> bytes:
    """The signed messageDigest is that of another content."""
    content = forge.content()
    return forge.wrap(content, [forge.info(content, attributes=_attributes(forge, b"{}"))])


@fault(Code.SIGNED_ATTRIBUTES_INVALID)
def message_digest_absent(forge: Forge) -> bytes:
    """The signed attributes have no messageDigest, so they sign no content."""
    content = forge.content()
    kind, _, time = _attributes(forge, content)
    return forge.wrap(content, [forge.info(content, attributes=[kind, time])])


@fault(Code.SIGNED_ATTRIBUTES_INVALID)
def message_digest_twice(forge: Forge) -> bytes:
    """There are two messageDigests, one of them right."""
    content = forge.content()
    other = _attributes(forge, b"{}")[1]
    attributes = [*_attributes(forge, content), other]
    return forge.wrap(content, [forge.info(content, attributes=attributes)])


@fault(Code.SIGNED_ATTRIBUTES_INVALID)
def message_digest_of_two_values(forge: Forge) -> bytes:
    """MessageDigest has two values, one of them right."""
    content = forge.content()
    kind, _, time = _attributes(forge, content)
    values = [digest_octets(Digest.SHA256, data) for data in (content, b"{}")]
    double = encoder.attribute(encoder.ID_MESSAGE_DIGEST, *map(der.octet_string, values))
    return forge.wrap(content, [forge.info(content, attributes=[kind, double, time])])


@fault(Code.SIGNED_ATTRIBUTES_INVALID)
def content_type_absent(forge: Forge) -> bytes:
    """The signed attributes have no contentType."""
    content = forge.content()
    return forge.wrap(content, [forge.info(content, attributes=_attributes(forge, content)[1:])])


@fault(Code.SIGNED_ATTRIBUTES_INVALID)
def content_type_other(forge: Forge) -> bytes:
    """The signed contentType is not that of the content."""
    content = forge.content()
    kind = encoder.attribute(encoder.ID_CONTENT_TYPE, der.oid(encoder.ID_SIGNED_DATA))
    attributes = [kind, *_attributes(forge, content)[1:]]
    return forge.wrap(content, [forge.info(content, attributes=attributes)])


@fault(Code.SIGNATURE_INVALID)
def attributes_not_signed(forge: Forge) -> bytes:
    """There are signed attributes; the signature is over the content instead."""
    content, signer = forge.content(), forge.authority.default_signer
    signature = sign(signer.key, content, Digest.SHA256)
    attributes = _attributes(forge, content)
    return forge.wrap(content, [forge.info(content, attributes=attributes, signature=signature)])


@fault(Code.CMS_MALFORMED)
def attributes_not_sorted(forge: Forge) -> bytes:
    """The signed attributes are not in DER's order, so their encoding is ambiguous."""
    content = forge.content()
    good = forge.info(content, attributes=_attributes(forge, content))
    parts = der.children(good)
    parts[3] = der.explicit(0, *reversed(der.children(parts[3])))
    return forge.wrap(content, [der.sequence(*parts)])


@fault(Code.DOCUMENT_MALFORMED)
def attributes_as_content(forge: Forge) -> bytes:
    """Genuine signed attributes are passed off as the content of a document without any."""
    attributes = der.set_of(_attributes(forge, forge.content()))
    return forge.wrap(attributes, [forge.info(attributes)])


def _with_digest(forge: Forge, digest: Digest) -> bytes:
    signer = forge.rsa_signer()
    return forge.authority.sign(forge.document(), signer=signer, digest=digest).der


def _attributes(forge: Forge, content: bytes) -> list[bytes]:
    return encoder.standard_attributes(content, Digest.SHA256, forge.authority.now())
