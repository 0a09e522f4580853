"""Tests of attest.path: step 8."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from ipaddress import IPv4Network

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from attest import Code
from attest.certificates import issued_under
from attest.path import MAX_DEPTH, CertificatePath, Origin, PathValidator
from tests.support import der
from tests.support.pki import (
    AT,
    CA_VALID,
    EXTENSIONS,
    SIGNER_VALID,
    UNREADABLE_FIELDS,
    Identity,
    PrivateKey,
    ec_key,
    make_ca,
    make_signer,
    pki,
    resign,
    rsa_key,
)
from tests.support.refusal import refused

NAME = "eastus.metadata.azure.com"
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
AKI, SKI = "2.5.29.35", "2.5.29.14"


def validate(
    signer: Identity,
    *extra: Identity,
    anchors: Iterable[Identity] | None = None,
    pinned: Iterable[Identity] | None = None,
    at: datetime = AT,
    origin: Origin = Origin.EVIDENCE,
) -> CertificatePath:
    """Validate a path to the default root; the further certificates are candidates."""
    roots = [a.certificate for a in ([pki().root] if anchors is None else anchors)]
    intermediates = [p.certificate for p in ([pki().intermediate] if pinned is None else pinned)]
    validator = PathValidator(roots, issued_under(roots, intermediates))
    candidates = dict.fromkeys((item.certificate for item in extra), origin)
    return validator.validate(signer.certificate, NAME, at, candidates)


def links(count: int, **options: object) -> list[Identity]:
    """Return so many CAs, each issued by the one before, the first by the root."""
    chain = [pki().root]
    for number in range(count):
        key = ec_key(f"link {number}")
        chain.append(make_ca(f"Link {number}", chain[-1], key=key, **options))  # type: ignore[arg-type]
    return chain[1:]


def test_a_path_is_found_and_told() -> None:
    """Signer first, anchor last, with the narrowest validity of them all."""
    path = validate(pki().signer)
    expected = (pki().signer, pki().intermediate, pki().root)
    assert path.certificates == tuple(identity.certificate for identity in expected)
    assert path.origins == (Origin.EVIDENCE, Origin.PINNED, Origin.PINNED)
    assert (path.not_before, path.not_after) == SIGNER_VALID


def test_the_operators_part_of_the_store_is_told() -> None:
    """Anchors and intermediates alike; what a manifest pins stays pinned beside them."""
    root, link = pki().root.certificate, pki().intermediate.certificate
    for operator in ([], [root], [link], [root, link]):
        validator = PathValidator([root], [link], operator)
        path = validator.validate(pki().signer.certificate, NAME, AT, {})
        told = [Origin.OPERATOR if c in operator else Origin.PINNED for c in (link, root)]
        assert path.origins == (Origin.EVIDENCE, *told)


@pytest.mark.parametrize("origin", [Origin.EVIDENCE, Origin.OPERATOR, Origin.FETCHED])
def test_origin_of_each_link_is_told(origin: Origin) -> None:
    """A candidate keeps its origin; an anchor is pinned whoever sent a copy of it."""
    extra = (pki().root, pki().intermediate, pki().signer)
    path = validate(pki().signer, *extra, pinned=[], origin=origin)
    assert path.origins == (Origin.EVIDENCE, origin, Origin.PINNED)


def test_the_window_of_a_path_is_exact() -> None:
    """A path covers whole seconds from the first to the last, both included."""
    path = validate(pki().signer)
    first, last = SIGNER_VALID
    assert path.covers(first)
    assert path.covers(last)
    assert path.covers(last + timedelta(microseconds=999_999))
    assert not path.covers(first - timedelta(microseconds=1))
    assert not path.covers(last + SECOND)


@pytest.mark.parametrize("at", SIGNER_VALID)
def test_both_ends_of_a_validity_belong_to_it(at: datetime) -> None:
    """RFC 5280 section 4.1.2.5: inclusive."""
    assert validate(pki().signer, at=at)
    assert validate(pki().signer, at=at + timedelta(microseconds=500_000))


def test_the_signer_expires() -> None:
    """A second after notAfter."""
    with refused(Code.CERTIFICATE_EXPIRED, 8, "'metadata.azure.com' expired"):
        validate(pki().signer, at=SIGNER_VALID[1] + SECOND)


def test_the_signer_is_not_yet_valid() -> None:
    """A second before notBefore."""
    with refused(Code.CERTIFICATE_NOT_YET_VALID, 8, "'metadata.azure.com' is valid from"):
        validate(pki().signer, at=SIGNER_VALID[0] - SECOND)


def test_an_intermediate_expires() -> None:
    """The code tells the date apart from other faults, the detail tells whose it is."""
    old = make_ca("Old CA", pki().root, valid=(CA_VALID[0], AT - SECOND))
    with refused(Code.CERTIFICATE_EXPIRED, 8, "'Old CA' expired"):
        validate(make_signer(old), old)


def test_an_intermediate_is_not_yet_valid() -> None:
    """So with a CA that begins later."""
    new = make_ca("New CA", pki().root, valid=(AT + SECOND, CA_VALID[1]))
    with refused(Code.CERTIFICATE_NOT_YET_VALID, 8, "'New CA' is valid from"):
        validate(make_signer(new), new)


def test_an_anchor_expires() -> None:
    """Old evidence is verified at its own time, new evidence not under an old anchor."""
    old = make_ca("Old Root", valid=(CA_VALID[0], AT - SECOND))
    signer = make_signer(old)
    with refused(Code.CERTIFICATE_EXPIRED, 8, "'Old Root' expired"):
        validate(signer, anchors=[old])
    assert validate(signer, anchors=[old], at=AT - SECOND).certificates[-1] == old.certificate


def test_an_expired_twin_does_no_harm() -> None:
    """Of two certificates of one CA the valid one is found, in either order."""
    key = ec_key("twin")
    old = make_ca("Twin CA", pki().root, key=key, valid=(CA_VALID[0], AT - SECOND))
    new = make_ca("Twin CA", pki().root, key=key)
    for extra in ([old, new], [new, old]):
        assert new.certificate in validate(make_signer(new), *extra).certificates


def test_cross_signed_ways_are_all_tried() -> None:
    """A CA with two issuers, one of them unknown, is found by way of the other."""
    stranger = make_ca("Stranger Root", key=ec_key("stranger"))
    key = ec_key("crossed")
    ours = make_ca("Crossed CA", pki().root, key=key)
    theirs = make_ca("Crossed CA", stranger, key=key)
    for extra in ([ours, theirs, stranger], [stranger, theirs, ours]):
        path = validate(make_signer(ours), *extra)
        assert path.certificates[1:] == (ours.certificate, pki().root.certificate)


@pytest.mark.parametrize("count", [0, 1, 2, MAX_DEPTH])
def test_depth_up_to_the_limit(count: int) -> None:
    """Azure has two CAs below the anchor; four are allowed."""
    chain = links(count)
    signer = make_signer(chain[-1] if chain else pki().root)
    assert len(validate(signer, *chain).certificates) == count + 2


def test_depth_beyond_the_limit() -> None:
    """Five are one too many."""
    chain = links(MAX_DEPTH + 1)
    with refused(Code.PATH_INVALID, 8):
        validate(make_signer(chain[-1]), *chain)


def test_no_anchor_for_the_cloud() -> None:
    """A cloud for which nothing is pinned trusts nobody."""
    with refused(Code.ISSUER_UNKNOWN, 8):
        validate(pki().signer, pki().root, pki().intermediate, anchors=[], pinned=[])


def test_issuer_is_unknown() -> None:
    """The issuer's name is told, so that the operator can go and look for it."""
    with refused(Code.ISSUER_UNKNOWN, 8, "Test Issuing CA 01"):
        validate(pki().signer, pinned=[])


def test_a_root_in_the_evidence_is_no_anchor() -> None:
    """A whole chain with its own root is of an unknown issuer."""
    root = make_ca("Evil Root", key=ec_key("evil root"))
    issuing = make_ca("Evil CA", root, key=ec_key("evil ca"))
    with refused(Code.ISSUER_UNKNOWN, 8, "Evil CA"):
        validate(make_signer(issuing), issuing, root)


def test_a_namesake_of_the_issuer_is_not_the_issuer() -> None:
    """With the name and key identifier of a known CA but another signature the path is invalid."""
    forged = make_signer(pki().intermediate, signed_by=rsa_key("another"))
    with refused(Code.PATH_INVALID, 8, "did not sign"):
        validate(forged)


def test_a_namesake_of_another_key_is_an_unknown_issuer() -> None:
    """With another key identifier it is another CA of that name, perhaps a later one."""
    namesake = make_ca("Test Issuing CA 01", pki().root, key=ec_key("later"))
    with refused(Code.ISSUER_UNKNOWN, 8):
        validate(make_signer(namesake))


def test_a_forged_certificate_without_key_identifier_is_invalid() -> None:
    """Where nothing tells two CAs of one name apart, the signature is at fault."""
    with refused(Code.PATH_INVALID, 8, "did not sign"):
        validate(_without(pki().signer, AKI, rsa_key("another")))


def _without(identity: Identity, extension: str, key: PrivateKey) -> Identity:
    extensions = der.parts(der.parts(der.parts(der.parts(identity.der)[0])[EXTENSIONS])[0])
    kept = [item for item in extensions if der.oid(extension) not in item]
    octets = resign(identity.der, key, {EXTENSIONS: der.context(3, der.sequence(*kept))})
    return Identity(x509.load_der_x509_certificate(octets), identity.key)


def test_a_ca_without_key_identifier_is_not_taken_for_the_issuer() -> None:
    """Where the CA has no key identifier to compare, it is another of that name."""
    ca = _without(make_ca("Plain CA", pki().root, key=ec_key("plain")), SKI, pki().root.key)
    with refused(Code.ISSUER_UNKNOWN, 8):
        validate(make_signer(make_ca("Plain CA", key=ec_key("other"))), pinned=[ca])


def test_only_the_link_whose_date_is_wrong_is_blamed() -> None:
    """Of a long path the one that has expired, though others stand before and after it."""
    link = make_ca("Link", pki().root, key=ec_key("link"), valid=(CA_VALID[0], AT - SECOND))
    below = make_ca("Below", link, key=ec_key("below"))
    with refused(Code.CERTIFICATE_EXPIRED, 8, "'Link' expired"):
        validate(make_signer(below), below, link)


def test_a_path_that_never_was_is_blamed_on_no_date() -> None:
    """Two links that were never valid at the same time make the path invalid."""
    old = make_ca("Old", pki().root, key=ec_key("old"), valid=(CA_VALID[0], AT - 500 * DAY))
    new = make_ca("New", old, key=ec_key("new"))
    with refused(Code.PATH_INVALID, 8):
        validate(make_signer(new), new, old)


def _faulty_cas() -> dict[str, Identity]:
    def ca(**options: object) -> Identity:
        return make_ca("Faulty CA", pki().root, key=ec_key("faulty"), **options)  # type: ignore[arg-type]

    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\0")
    dns = x509.DNSName
    return {
        "not a CA": ca(basic_constraints=False),
        "EKU of another purpose": ca(extended_key_usage=[ExtendedKeyUsageOID.CODE_SIGNING]),
        "unknown critical extension": ca(extensions=[(unknown, True)]),
        "excludes the name": ca(
            name_constraints=x509.NameConstraints(None, [dns("metadata.azure.com")])
        ),
        "permits other names": ca(name_constraints=x509.NameConstraints([dns("azure.us")], None)),
    }


@pytest.mark.parametrize(
    "kind",
    [
        "not a CA",
        "EKU of another purpose",
        "unknown critical extension",
        "excludes the name",
        "permits other names",
    ],
)
def test_a_faulty_ca_makes_the_path_invalid(kind: str) -> None:
    """Each rule of RFC 5280 section 6 that a CA can break, pinned or in the evidence."""
    faulty = _faulty_cas()[kind]
    signer = make_signer(faulty)
    with refused(Code.PATH_INVALID, 8):
        validate(signer, faulty)
    with refused(Code.PATH_INVALID, 8):
        validate(signer, pinned=[faulty])


def test_name_constraints_that_permit_the_name() -> None:
    """A constrained CA may still issue what it may issue."""
    permitted = x509.NameConstraints([x509.DNSName("azure.com")], None)
    ca = make_ca("Constrained CA", pki().root, key=ec_key("c"), name_constraints=permitted)
    assert validate(make_signer(ca), ca)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        (x509.DirectoryName(x509.Name([])), Code.ISSUER_UNKNOWN),
        (x509.RFC822Name("example.com"), Code.ISSUER_UNKNOWN),
        (x509.UniformResourceIdentifier("example.com"), Code.ISSUER_UNKNOWN),
    ],
)
def test_name_constraints_that_nobody_reads(name: x509.GeneralName, code: Code) -> None:
    """A CA with constraints of another kind is left out, and ends no search but its own."""
    odd = make_ca(
        "Odd CA", pki().root, key=ec_key("odd"), name_constraints=x509.NameConstraints(None, [name])
    )
    with refused(code, 8):
        validate(make_signer(odd), odd)
    with refused(code, 8):
        validate(make_signer(odd), pinned=[odd])
    assert validate(pki().signer, odd)


def test_name_constraints_on_addresses_do_no_harm() -> None:
    """Constraints on IP addresses say nothing of DNS names."""
    constraints = x509.NameConstraints(None, [x509.IPAddress(IPv4Network("0.0.0.0/0"))])
    ca = make_ca("Address CA", pki().root, key=ec_key("address"), name_constraints=constraints)
    assert validate(make_signer(ca), ca)


def test_unreadable_name_constraints_leave_a_ca_out() -> None:
    """A CA whose extensions cannot be parsed is no candidate."""
    raw = x509.UnrecognizedExtension(x509.NameConstraints.oid, b"\x05\0")
    odd = make_ca("Unreadable CA", pki().root, key=ec_key("odd"), extensions=[(raw, True)])
    with refused(Code.ISSUER_UNKNOWN, 8):
        validate(make_signer(odd), odd)


def test_name_constraints_of_a_kind_that_is_not_parsed_leave_a_ca_out() -> None:
    """So with constraints on an x400Address or ediPartyName."""
    excluded = der.context(1, der.sequence(der.tlv(0xA5, b"\x02\x05\0")))
    raw = x509.UnrecognizedExtension(x509.NameConstraints.oid, der.sequence(excluded))
    odd = make_ca("EDI CA", pki().root, key=ec_key("odd"), extensions=[(raw, True)])
    with refused(Code.ISSUER_UNKNOWN, 8):
        validate(make_signer(odd), odd)


def test_path_length_is_kept() -> None:
    """A CA of path length 0 issues no CA."""
    below = make_ca("Below CA", pki().intermediate, key=ec_key("below"))
    with refused(Code.PATH_INVALID, 8):
        validate(make_signer(below), below)


def test_an_ordinary_certificate_issues_nothing() -> None:
    """A signer's own certificate is no CA, though its key can sign."""
    fake = make_signer(
        Identity(pki().signer.certificate, pki().signer.key), key=ec_key("fake signer")
    )
    with refused(Code.PATH_INVALID, 8):
        validate(fake, pki().signer)


def test_the_name_must_be_covered() -> None:
    """The reference is checked against the subjectAltName once more."""
    validator = PathValidator([pki().root.certificate], [pki().intermediate.certificate])
    with refused(Code.PATH_INVALID, 8):
        validator.validate(pki().signer.certificate, "westus.metadata.azure.com", AT, {})


def test_server_auth_is_required() -> None:
    """The path checks the signer's extendedKeyUsage as well."""
    for usages in (None, [ExtendedKeyUsageOID.CLIENT_AUTH]):
        with refused(Code.PATH_INVALID, 8):
            validate(make_signer(pki().intermediate, extended_key_usage=usages))


def test_unusable_pinned_intermediates_are_left_out() -> None:
    """One pinned CA with unreadable constraints does not end every search."""
    constraints = x509.NameConstraints(None, [x509.RFC822Name("example.com")])
    odd = make_ca("Odd CA", pki().root, key=ec_key("odd"), name_constraints=constraints)
    assert validate(pki().signer, pinned=[odd, pki().intermediate])


@pytest.mark.parametrize(("place", "value"), UNREADABLE_FIELDS)
def test_unreadable_fields_of_a_candidate_do_no_harm(place: int, value: bytes) -> None:
    """A damaged certificate beside a good one is left out."""
    octets = resign(pki().intermediate.der, pki().root.key, {place: value})
    damaged = Identity(x509.load_der_x509_certificate(octets), rsa_key("another"))
    assert validate(pki().signer, damaged)
