"""Tests of attest.diagnosis; tests/cli/test_doctor.py has the rest."""

from __future__ import annotations

import shlex
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from attest import Cloud, TrustStore
from attest.diagnosis import Diagnosis, diagnose
from tests.support.pki import (
    AT,
    CREATED,
    NONCE,
    Identity,
    ec_key,
    make_ca,
    make_evidence,
    make_signer,
    pki,
)

DAY = timedelta(days=1)
NOW = CREATED + timedelta(seconds=1)
GOOD_URL = "http://www.microsoft.com/pkiops/certs/CA.crt"


def store(*links: Identity, anchors: tuple[Identity, ...] = ()) -> TrustStore:
    """Return a store for the public cloud."""
    return TrustStore.from_certificates(
        anchors=[anchor.certificate for anchor in anchors or (pki().root,)],
        intermediates=[link.certificate for link in links],
        clouds={Cloud.PUBLIC},
    )


def found(trust: TrustStore, evidence: bytes) -> Diagnosis:
    """Return the diagnosis of evidence."""
    return diagnose(trust, evidence, at=NOW, nonce=NONCE, clouds={Cloud.PUBLIC})


def stranger(*urls: str) -> Identity:
    """Return a signer of an unknown CA that names these URLs."""
    access = x509.AuthorityInformationAccess(
        [
            x509.AccessDescription(
                AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(url)
            )
            for url in urls
        ]
    )
    issuer = make_ca("Stranger", key=ec_key("stranger"))
    return make_signer(issuer, extensions=[(access, False)] if urls else [])


def test_another_path_of_the_issuer_counts() -> None:
    """The path that was found ends with a cross-signed certificate; the issuer lives on."""
    root, other = (make_ca(name, key=ec_key(name)) for name in ("Root A", "Root B"))
    twins = [
        make_ca("Twin", issuer, key=ec_key("Twin"), valid=(AT - 90 * DAY, AT + days * DAY))
        for issuer, days in ((root, 10), (other, 500))
    ]
    evidence = make_evidence(make_signer(twins[0]))
    short = found(store(twins[0], anchors=(root,)), evidence)
    assert short.error is None
    assert short.issuer_until == AT + 10 * DAY
    assert short.ends_within(11)
    assert short.advice(11) == [
        "Update imds-attest before that day; attest trust check tells more."
    ]
    both = found(store(*twins, anchors=(root, other)), evidence)
    assert both.issuer_until == AT + 500 * DAY
    assert not both.ends_within(499)
    assert both.is_newest


def test_an_issuer_of_an_older_generation() -> None:
    """It verifies, and the next one is pinned already."""
    newer = make_ca("Newer", pki().root, key=ec_key("Newer"), valid=(AT - DAY, AT + 99 * DAY))
    diagnosis = found(store(pki().intermediate, newer), make_evidence(pki().signer))
    assert diagnosis.error is None
    assert not diagnosis.is_newest
    assert diagnosis.advice(90) == []


def test_clock() -> None:
    """The time of creation is compared where the document answers the nonce, and nowhere else."""
    trust, evidence = store(pki().intermediate), make_evidence(pki().signer)
    assert found(trust, evidence).clock_ahead == timedelta(seconds=1)
    other = diagnose(trust, evidence, at=NOW, nonce="another", clouds={Cloud.PUBLIC})
    assert other.clock_ahead is None
    assert other.path is not None
    assert str(other.error).startswith("nonce_mismatch: ")


def test_commands_name_issuers_hosts_only() -> None:
    """An operator pastes them into a shell: a URL is quoted, and none is of another host."""
    signer = stranger("http://evil.example/CA.crt", "http://x/;reboot", GOOD_URL + "$(reboot)")
    diagnosis = found(store(), make_evidence(signer))
    assert diagnosis.missing_issuer == "CN=Stranger,O=Test Corporation,C=US"
    assert diagnosis.commands() == [
        "attest doctor --fetch-issuers",
        "attest trust pending",
        "attest trust approve FINGERPRINT",
        f"curl -sSfo issuer.crt '{GOOD_URL}$(reboot)'",
        "attest trust add issuer.crt --dir FOLDER",
    ]
    assert shlex.split(diagnosis.commands()[3])[-1] == GOOD_URL + "$(reboot)"


def test_many_urls_are_bounded() -> None:
    """Four are shown, whatever the certificate holds."""
    diagnosis = found(store(), make_evidence(stranger(*[GOOD_URL] * 30)))
    assert diagnosis.missing_urls == (GOOD_URL,) * 4


@pytest.mark.parametrize("evidence", [b"0\x00", "!"])
def test_junk(evidence: str | bytes) -> None:
    """Whatever answers at the endpoint, there is a diagnosis."""
    diagnosis = diagnose(store(), evidence, at=AT, nonce=NONCE, clouds={Cloud.PUBLIC})
    assert diagnosis.error is not None
    assert (diagnosis.document, diagnosis.signer, diagnosis.path) == (None, None, None)
    assert (diagnosis.ends_first, diagnosis.issuer_origin) == (None, None)
    assert diagnosis.clock_ahead is None
    assert diagnosis.missing_urls == ()
    assert diagnosis.commands() == []
    assert diagnosis.advice(90) == ["See each step: attest fetch | attest inspect"]


def test_a_signer_below_the_anchor_itself() -> None:
    """There is no link between: the anchor is what ends first."""
    signer = make_signer(pki().root)
    diagnosis = found(store(), make_evidence(signer))
    assert diagnosis.error is None
    assert diagnosis.ends_first == pki().root.certificate
    assert diagnosis.issuer_until == pki().root.certificate.not_valid_after_utc
