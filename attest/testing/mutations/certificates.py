"""Faults of the signer certificate: names, key, usages, dates, signature."""

from __future__ import annotations

from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ObjectIdentifier

from attest.clouds import Cloud
from attest.errors import Code
from attest.policy import AppraisalPolicy
from attest.testing import der
from attest.testing.evidence import FakeSigner
from attest.testing.keys import Digest, new_ec_key
from attest.testing.mutations.case import Catalogue, Forge, Forged, Mutation, spare_rsa_key
from attest.testing.pki import CLIENT_AUTH, Validity, resign
from attest.testing.signers import SignerOptions

CATALOGUE = Catalogue()
fault = CATALOGUE.fault

_DAY = timedelta(days=1)
# What a signer's names may not be; {} is the cloud's domain.
_WRONG_NAMES = {
    "name_foreign": ("metadata.contoso.example", "The signer is of a foreign domain."),
    "name_glued": ("evil{}", "The signer's domain ends like Azure's, without the dot."),
    "name_prefix": ("{}.contoso.example", "Azure's domain is only the start of the name."),
    "name_parent": ("azure.com", "The name is the parent of Azure's metadata domains."),
    "name_sibling": ("management.azure.com", "The name is another service's of Azure."),
    "name_wildcard_above": ("*.azure.com", "A wildcard covers the metadata domain from above."),
    "name_wildcard_inside": ("a.*.{}", "The wildcard is not the left-most label."),
    "name_trailing_dot": ("{}.", "The name ends in a dot."),
    "name_two_dots": ("eastus..{}", "The name has an empty label."),
    "name_nul": ("{}\0.contoso.example", "A NUL hides the end of the name from C programs."),
    "name_url": ("http://{}/", "The name is a URL."),
    "name_space": (" {}", "The name starts with a space."),
}


def _wrong_name(name: str, pattern: str, what: str) -> Mutation:
    def function(forge: Forge) -> bytes:
        names = [pattern.format(forge.authority.cloud.signer_domain)]
        return forge.sign(signer=forge.authority.issue_signer(names=names)).der

    function.__name__ = name
    function.__doc__ = what
    return fault(Code.SIGNER_NAME_MISMATCH)(function)


for _name, (_pattern, _what) in _WRONG_NAMES.items():
    _wrong_name(_name, _pattern, _what)


@fault(Code.SIGNER_NAME_MISMATCH)
def name_in_subject_only(forge: Forge) -> bytes:
    """The signer has no subjectAltName, only Azure's name in its subject."""
    return forge.sign(signer=forge.authority.issue_signer(names=())).der


@fault(Code.SIGNER_NAME_MISMATCH)
def names_of_two_clouds(forge: Forge) -> bytes:
    """The signer's names belong to two clouds."""
    own, other = forge.authority.cloud.signer_domain, _other_cloud(forge).signer_domain
    return forge.sign(signer=forge.authority.issue_signer(names=(own, other))).der


@fault(Code.CLOUD_NOT_ALLOWED)
def cloud_other(forge: Forge) -> bytes:
    """The signer is of a cloud that the policy does not accept."""
    return forge.sign(signer=_signer_of_other_cloud(forge)).der


@fault(Code.ISSUER_UNKNOWN)
def cloud_of_other_anchor(forge: Forge) -> Forged:
    """The policy accepts the signer's cloud; its anchor is pinned for another one."""
    policy = AppraisalPolicy(clouds={forge.authority.cloud, _other_cloud(forge)})
    return Forged(der=forge.sign(signer=_signer_of_other_cloud(forge)).der, policy=policy)


@fault(Code.SIGNER_KEY_UNSUPPORTED)
def key_rsa_1024(forge: Forge) -> bytes:
    """The signer's RSA key has 1,024 bits."""
    key = spare_rsa_key(1024)
    return forge.sign(signer=forge.authority.issue_signer(key=key)).der


@fault(Code.SIGNER_KEY_UNSUPPORTED)
def key_rsa_exponent_3(forge: Forge) -> bytes:
    """The signer's RSA key has the public exponent 3."""
    key = spare_rsa_key(2048, 3)
    return forge.sign(signer=forge.authority.issue_signer(key=key)).der


@fault(Code.SIGNER_KEY_UNSUPPORTED)
def key_secp256k1(forge: Forge) -> bytes:
    """The signer's key is on a curve that no TLS certificate may use."""
    key = new_ec_key(ec.SECP256K1())
    return forge.sign(signer=forge.authority.issue_signer(key=key)).der


@fault(Code.SIGNER_USAGE_INVALID)
def usage_absent(forge: Forge) -> bytes:
    """The signer certificate has no extendedKeyUsage."""
    return _signed_with(forge, SignerOptions(usages=()))


@fault(Code.SIGNER_USAGE_INVALID)
def usage_client_only(forge: Forge) -> bytes:
    """The signer certificate is for TLS clients, such as anybody's."""
    return _signed_with(forge, SignerOptions(usages=(CLIENT_AUTH,)))


@fault(Code.SIGNER_USAGE_INVALID)
def digital_signature_absent(forge: Forge) -> bytes:
    """The signer's keyUsage does not hold digitalSignature."""
    return _signed_with(forge, SignerOptions(digital_signature=False))


@fault(Code.PATH_INVALID)
def signer_is_ca(forge: Forge) -> bytes:
    """The signer certificate is a CA's."""
    return _signed_with(forge, SignerOptions(ca=True))


@fault(Code.SIGNER_NAME_MISMATCH)
def issuing_ca_signs(forge: Forge) -> bytes:
    """The issuing CA itself signs the document."""
    issuer = forge.authority.issuer
    signer = FakeSigner(forge.authority.intermediates[-1], issuer.key)
    return forge.sign(signer=signer).der


@fault(Code.CERTIFICATE_EXPIRED)
def signer_expired(forge: Forge) -> bytes:
    """The signer certificate expired a second ago."""
    now = forge.authority.now()
    validity = Validity(now - 180 * _DAY, now - timedelta(seconds=1))
    return _signed_with(forge, SignerOptions(validity=validity))


@fault(Code.CERTIFICATE_NOT_YET_VALID)
def signer_not_yet_valid(forge: Forge) -> bytes:
    """The signer certificate becomes valid in a minute."""
    now = forge.authority.now()
    validity = Validity(now + timedelta(minutes=1), now + 180 * _DAY)
    return _signed_with(forge, SignerOptions(validity=validity))


@fault(Code.PATH_INVALID)
def critical_extension_unknown(forge: Forge) -> bytes:
    """The signer certificate has a critical extension that nobody knows."""
    extension = x509.UnrecognizedExtension(ObjectIdentifier("2.5.29.999"), der.NULL)
    return _signed_with(forge, SignerOptions(extensions=((extension, True),)))


@fault(Code.PATH_INVALID)
def signer_signed_with_sha1(forge: Forge) -> bytes:
    """The trusted CA signed the signer certificate with SHA-1."""
    return _signed_with(forge, SignerOptions(digest=Digest.SHA1))


@fault(Code.PATH_INVALID)
def signer_algorithms_disagree(forge: Forge) -> bytes:
    """The signer certificate's two statements of its signature algorithm differ."""
    good, issuer = forge.authority.issue_signer(), forge.authority.issuer
    bad = resign(good.certificate, issuer.key, digest=Digest.SHA256, outer_digest=Digest.SHA512)
    return forge.sign(signer=FakeSigner(bad, good.key)).der


@fault(Code.PATH_INVALID)
def signer_key_replaced(forge: Forge) -> bytes:
    """A stranger put its own key into the good signer's certificate."""
    good = forge.authority.default_signer
    to_be_signed, *signature = der.children(good.der)
    parts = der.children(to_be_signed)
    parts[6] = der.children(_stranger(forge).der)[0]
    parts[6] = der.children(parts[6])[6]
    forged = der.sequence(der.sequence(*parts), *signature)
    certificate = x509.load_der_x509_certificate(forged)
    return forge.sign(signer=FakeSigner(certificate, _stranger(forge).key)).der


def _stranger(forge: Forge) -> FakeSigner:
    return forge.twin().default_signer


def _signed_with(forge: Forge, options: SignerOptions) -> bytes:
    return forge.sign(signer=forge.authority.issue_signer(options=options)).der


def _other_cloud(forge: Forge) -> Cloud:
    return Cloud.USGOV if forge.authority.cloud is not Cloud.USGOV else Cloud.CHINA


def _signer_of_other_cloud(forge: Forge) -> FakeSigner:
    domain = _other_cloud(forge).signer_domain
    return forge.authority.issue_signer(names=(f"region.{domain}", domain))
