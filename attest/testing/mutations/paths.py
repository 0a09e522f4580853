"""Faults of the certificates above the signer's, and of revocation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier

from attest.errors import Code
from attest.testing.keys import new_ec_key
from attest.testing.mutations.case import Catalogue, Forge, Forged
from attest.testing.pki import (
    CLIENT_AUTH,
    SERVER_AUTH,
    CertificationAuthority,
    Extensions,
    Validity,
    key_usage,
)

CATALOGUE = Catalogue()
fault = CATALOGUE.fault

_DAY = timedelta(days=1)
_TOO_DEEP = 5  # CAs below the root; the verifier follows 4


@fault(Code.ISSUER_UNKNOWN)
def root_unknown(forge: Forge) -> bytes:
    """Everything is as it should be, under the right names, and under an unknown root."""
    twin = forge.twin()
    return twin.sign(forge.document(), extra_certificates=twin.intermediates).der


@fault(Code.ISSUER_UNKNOWN)
def signer_self_signed(forge: Forge) -> bytes:
    """The signer has issued its own certificate."""
    authority = forge.authority
    key = new_ec_key()
    own = authority.new_authority(authority.cloud.signer_domain)
    own.key = key
    own.name = authority.signer.subject
    return forge.sign(signer=authority.issue_signer(key=key, issuer=own)).der


@fault(Code.ISSUER_UNKNOWN)
def issuer_not_at_hand(forge: Forge) -> bytes:
    """A trusted root vouches for the issuing CA; neither evidence nor verifier has it."""
    issuer, _ = _new_ca(forge)
    return forge.sign(signer=forge.authority.issue_signer(issuer=issuer)).der


@fault(Code.PATH_INVALID)
def path_length_exceeded(forge: Forge) -> bytes:
    """A CA that may issue only to end entities has issued a CA."""
    middle = forge.authority.issuer
    issuer, certificate = _new_ca(forge, above=middle)
    return _signed_under(forge, issuer, [certificate])


@fault(Code.PATH_INVALID)
def path_too_deep(forge: Forge) -> bytes:
    """Five CAs stand between signer and root."""
    above, certificates = forge.authority.authorities[-1], []
    for number in range(_TOO_DEEP):
        above, certificate = _new_ca(forge, above=above, title=f"Deep CA {number}")
        certificates.append(certificate)
    return _signed_under(forge, above, certificates)


@fault(Code.PATH_INVALID)
def issuer_is_no_ca(forge: Forge) -> bytes:
    """A genuine signer has issued a certificate to a stranger."""
    authority = forge.authority
    good = authority.default_signer
    rogue = authority.new_authority("Rogue")
    rogue.key, rogue.name = good.key, good.certificate.subject
    stranger = authority.issue_signer(key=new_ec_key(), issuer=rogue)
    return authority.sign(
        forge.document(), signer=stranger, extra_certificates=[good.certificate]
    ).der


@fault(Code.PATH_INVALID)
def issuer_may_not_sign_certificates(forge: Forge) -> bytes:
    """The issuing CA's keyUsage does not hold keyCertSign."""
    root, issuer = forge.authority.authorities[-1], forge.authority.new_authority("No signing CA")
    extensions: Extensions = [
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (key_usage(), True),
        (x509.ExtendedKeyUsage([SERVER_AUTH]), False),
    ]
    certificate = root.issue(
        issuer.name, issuer.key.public_key(), forge.authority.ca_validity(), extensions
    )
    return _signed_under(forge, issuer, [certificate])


@fault(Code.PATH_INVALID)
def issuer_for_clients_only(forge: Forge) -> bytes:
    """The issuing CA's extendedKeyUsage does not hold serverAuth."""
    issuer, certificate = _new_ca(forge, usages=(CLIENT_AUTH,))
    return _signed_under(forge, issuer, [certificate])


@fault(Code.PATH_INVALID)
def name_not_permitted(forge: Forge) -> bytes:
    """The issuing CA may name hosts of another domain only."""
    permitted = [x509.DNSName("contoso.example")]
    return _constrained(forge, x509.NameConstraints(permitted, None))


@fault(Code.PATH_INVALID)
def name_excluded(forge: Forge) -> bytes:
    """The issuing CA may not name hosts of Azure's domain."""
    excluded = [x509.DNSName(forge.authority.cloud.signer_domain)]
    return _constrained(forge, x509.NameConstraints(None, excluded))


@fault(Code.CERTIFICATE_EXPIRED)
def issuer_expired(forge: Forge) -> bytes:
    """The issuing CA's certificate expired a second ago."""
    now = forge.authority.now()
    validity = Validity(now - 365 * _DAY, now - timedelta(seconds=1))
    issuer, certificate = _new_ca(forge, validity=validity)
    return _signed_under(forge, issuer, [certificate])


@fault(Code.CERTIFICATE_NOT_YET_VALID)
def issuer_not_yet_valid(forge: Forge) -> bytes:
    """The issuing CA's certificate becomes valid in a minute."""
    now = forge.authority.now()
    validity = Validity(now + timedelta(minutes=1), now + 365 * _DAY)
    issuer, certificate = _new_ca(forge, validity=validity)
    return _signed_under(forge, issuer, [certificate])


@fault(Code.CERTIFICATE_REVOKED, "crls")
def signer_revoked(forge: Forge) -> Forged:
    """The signer certificate is revoked."""
    signer = forge.authority.issue_signer()
    crls = forge.authority.crls(revoked=[signer.certificate])
    return Forged(der=forge.sign(signer=signer).der, crls=crls)


@fault(Code.CERTIFICATE_REVOKED, "crls")
def issuer_revoked(forge: Forge) -> Forged:
    """The issuing CA's certificates are revoked."""
    crls = forge.authority.crls(revoked=forge.authority.intermediates)
    return Forged(der=forge.sign().der, crls=crls)


@fault(Code.REVOCATION_UNKNOWN, "crls")
def crl_of_issuer_absent(forge: Forge) -> Forged:
    """There are CRLs, and none of the CA that issued the signer certificate."""
    return Forged(der=forge.sign().der, crls=forge.authority.crls()[1:])


@fault(Code.REVOCATION_UNKNOWN, "crls")
def crls_absent(forge: Forge) -> Forged:
    """Revocation is to be checked, and there is no CRL at all."""
    return Forged(der=forge.sign().der, crls=())


@fault(Code.REVOCATION_UNKNOWN, "crls")
def crls_out_of_date(forge: Forge) -> Forged:
    """The CRLs expired: they cannot tell of a revocation since."""
    crls = forge.authority.crls(at=forge.authority.now() - 30 * _DAY)
    return Forged(der=forge.sign().der, crls=crls)


@fault(Code.REVOCATION_UNKNOWN, "crls")
def crls_of_stranger(forge: Forge) -> Forged:
    """The CRLs bear the right names and a stranger's signatures."""
    return Forged(der=forge.sign().der, crls=forge.twin().crls())


def _new_ca(
    forge: Forge,
    *,
    above: CertificationAuthority | None = None,
    title: str = "New CA",
    validity: Validity | None = None,
    usages: Sequence[ObjectIdentifier] = (SERVER_AUTH,),
    extensions: Extensions = (),
) -> tuple[CertificationAuthority, x509.Certificate]:
    authority = forge.authority
    above = authority.authorities[-1] if above is None else above
    issuer = authority.new_authority(title)
    certificate = above.issue_ca(
        issuer,
        authority.ca_validity() if validity is None else validity,
        path_length=None,
        usages=usages,
        extensions=extensions,
    )
    return issuer, certificate


def _constrained(forge: Forge, constraints: x509.NameConstraints) -> bytes:
    issuer, certificate = _new_ca(forge, extensions=[(constraints, True)])
    return _signed_under(forge, issuer, [certificate])


def _signed_under(
    forge: Forge, issuer: CertificationAuthority, extra: Sequence[x509.Certificate]
) -> bytes:
    signer = forge.authority.issue_signer(issuer=issuer)
    return forge.authority.sign(forge.document(), signer=signer, extra_certificates=extra).der
