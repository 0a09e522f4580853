"""Tests of attest.chain: the certificate-chain check without a document."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from cryptography import x509

from attest import Cloud, Code, IssuerUnknownError, Revocation, TrustStore, check_chain
from tests.support import der
from tests.support.pki import (
    AT,
    SIGNER_VALID,
    ec_key,
    make_ca,
    make_crl,
    make_signer,
    pki,
    rsa_key,
)
from tests.support.refusal import refused
from tests.support.vectors import RealDocument, real_documents

SECOND = timedelta(seconds=1)


def test_a_chain_is_told() -> None:
    """Cloud and name come from the certificate, and the window from the path."""
    result = check_chain(pki().store(), pki().signer.certificate, at=AT)
    assert (result.cloud, result.name) == (Cloud.PUBLIC, "eastus.metadata.azure.com")
    assert len(result.path.certificates) == 3
    values = result.to_dict()
    assert json.loads(json.dumps(values)) == values
    assert values["valid"] is True
    assert values["checked_at"] == "2026-07-01T12:00:00Z"
    assert values["valid_until"] == "2026-08-30T12:00:00Z"
    assert values["valid_from"] == "2026-06-01T12:00:00Z"


@pytest.mark.parametrize("real", real_documents(), ids=lambda real: real.name)
def test_chains_of_real_signers(real: RealDocument) -> None:
    """The signers of the real documents, at their times and under the bundled anchors."""
    bag = der.parts(der.parts(der.parts(real.der)[1])[0])[3]
    certificate = x509.load_der_x509_certificate(der.parts(bag)[0])
    result = check_chain(TrustStore.bundled(), certificate, at=real.at)
    assert result.cloud is real.cloud
    with refused(Code.CERTIFICATE_EXPIRED, 8):
        check_chain(TrustStore.bundled(), certificate, at=certificate.not_valid_after_utc + SECOND)


def test_another_cloud_is_refused() -> None:
    """Where the certificate's own names decide, they must be of the cloud that is asked for."""
    with refused(Code.CLOUD_NOT_ALLOWED, 4, "public, not usgov"):
        check_chain(pki().store(), pki().signer.certificate, at=AT, cloud=Cloud.USGOV)


def test_foreign_names_need_cloud_and_name() -> None:
    """A certificate of another name is checked for that name, under a cloud's anchors."""
    shop = make_signer(pki().intermediate, names=["shop.example"]).certificate
    with refused(Code.SIGNER_NAME_MISMATCH, 4):
        check_chain(pki().store(), shop, at=AT)
    result = check_chain(pki().store(), shop, at=AT, name="shop.example", cloud=Cloud.CHINA)
    assert (result.cloud, result.name) == (Cloud.CHINA, "shop.example")
    with refused(Code.PATH_INVALID, 8):
        check_chain(pki().store(), shop, at=AT, name="other.example", cloud=Cloud.CHINA)


def test_untrusted_certificates_are_links_only() -> None:
    """They lead to an anchor and are none."""
    store = pki().store(intermediates=[])
    signer = pki().signer.certificate
    with pytest.raises(IssuerUnknownError) as caught:
        check_chain(store, signer, at=AT)
    assert (caught.value.code, caught.value.certificate) == (Code.ISSUER_UNKNOWN, signer)
    result = check_chain(store, signer, at=AT, untrusted=[pki().intermediate.certificate])
    assert [str(origin) for origin in result.path.origins] == ["evidence", "operator", "operator"]
    root = make_ca("Evil Root", key=ec_key("evil"))
    with refused(Code.ISSUER_UNKNOWN, 8):
        check_chain(store, make_signer(root).certificate, at=AT, untrusted=[root.certificate])


def test_revocation_is_checked_where_crls_are_given() -> None:
    """As in a verification."""
    signer, root_crl = pki().signer.certificate, make_crl(pki().root)
    good = [root_crl, make_crl(pki().intermediate)]
    assert check_chain(pki().store(), signer, at=AT, crls=good)
    with refused(Code.CERTIFICATE_REVOKED, 9):
        crls = [root_crl, make_crl(pki().intermediate, pki().signer)]
        check_chain(pki().store(), signer, at=AT, crls=crls)
    with refused(Code.REVOCATION_UNKNOWN, 9):
        check_chain(pki().store(), signer, at=AT, crls=[])
    assert check_chain(pki().store(), signer, at=AT).revocation == "unchecked"
    assert check_chain(pki().store(), signer, at=AT, crls=good).to_dict()["revocation"] == "good"
    soft = check_chain(pki().store(), signer, at=AT, crls=[], revocation=Revocation.SOFT)
    assert soft.to_dict()["revocation"] == "unknown"


def test_a_forged_certificate_is_refused() -> None:
    """The issuer's signature counts, not its name."""
    forged = make_signer(pki().intermediate, signed_by=rsa_key("another")).certificate
    with refused(Code.PATH_INVALID, 8):
        check_chain(pki().store(), forged, at=AT)


def test_dates_are_checked() -> None:
    """And a naive time is the caller's mistake."""
    signer = pki().signer.certificate
    with refused(Code.CERTIFICATE_NOT_YET_VALID, 8):
        check_chain(pki().store(), signer, at=SIGNER_VALID[0] - SECOND)
    with refused(Code.CERTIFICATE_EXPIRED, 8):
        check_chain(pki().store(), signer, at=SIGNER_VALID[1] + SECOND)
    with pytest.raises(ValueError, match="aware"):
        check_chain(pki().store(), signer, at=AT.replace(tzinfo=None))


@pytest.mark.parametrize(
    "name", ["", "not a name", "a" * 64, "x." * 150 + "x", "é.example", "*.metadata.azure.com"]
)
def test_a_name_that_is_no_host_name_is_covered_by_nothing(name: str) -> None:
    """No certificate covers it: the path is invalid for it."""
    with refused(Code.PATH_INVALID, 8):
        check_chain(pki().store(), pki().signer.certificate, at=AT, name=name, cloud=Cloud.PUBLIC)
