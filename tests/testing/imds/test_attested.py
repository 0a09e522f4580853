"""/metadata/attested/document: fields by version, nonces, the cache, faults, classic VMs."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs7

from attest import AppraisalPolicy, AttestError, Cloud, TrustStore, Verifier
from attest.testing.imds import FakeImds, signing
from attest.testing.imds.attested import CACHE_LIFETIME
from attest.testing.mutations import MUTATIONS, Mutation
from tests.testing.imds import page
from tests.testing.imds.conftest import START, Clock, Endpoint, MakeEndpoint

PATH = "/metadata/attested/document"


def _content(answer: dict[str, str]) -> dict[str, Any]:
    """Cut the signed JSON out of the evidence."""
    der = base64.b64decode(answer["signature"], validate=True)
    start = der.index(b'{"')
    value, _ = json.JSONDecoder().raw_decode(der[start:].decode("latin-1"))
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize(("field", "since"), page.ATTESTED.items())
def test_field(endpoint: Endpoint, field: str, since: str) -> None:
    """A row of the document's table: there from its version on, and not before."""

    def has(version: str) -> bool:
        node: Any = _content(endpoint.get(PATH, version))
        for key in field.split("/"):
            if key not in node:
                return False
            node = node[key]
        return True

    assert has(since)
    assert has("2025-04-07")
    if since > "2018-10-01":
        assert not has(page.before(since))
    else:
        assert endpoint.ask(PATH, page.before(since)).status_code == 400


def test_the_answer_is_what_the_page_shows(endpoint: Endpoint) -> None:
    """The answer is what the page shows."""
    answer = endpoint.ask(PATH, "2018-10-01", nonce="1234567890")
    assert answer.mimetype == "application/json"
    assert list(answer.json) == ["encoding", "signature"]
    assert answer.json["encoding"] == "pkcs7"


@pytest.mark.parametrize("version", ["2018-10-01", "2019-04-30", "2020-09-01", "2025-04-07"])
def test_the_verifier_accepts_it(endpoint: Endpoint, version: str) -> None:
    """The verifier accepts it."""
    answer = endpoint.get(PATH, version, nonce="1234567890")
    store = endpoint.authority.trust_store()
    result = Verifier(store, AppraisalPolicy()).verify(answer, at=START, nonce="1234567890")
    assert str(result.document.vm_id) == "5c08b38e-4d57-4c23-ac45-aca61037f084"
    assert result.document.created_on == START
    assert result.document.expires_on == START + timedelta(hours=6)


def test_the_pinned_store_rejects_it(endpoint: Endpoint) -> None:
    """The pinned store rejects it."""
    verifier = Verifier(TrustStore.bundled(), AppraisalPolicy())
    with pytest.raises(AttestError) as caught:
        verifier.verify(endpoint.get(PATH), at=START)
    assert caught.value.code == "issuer_unknown"


@pytest.mark.parametrize(("cloud", "pattern"), page.CERTIFICATES.items())
def test_the_certificate_of_a_cloud(make_endpoint: MakeEndpoint, cloud: str, pattern: str) -> None:
    """A row of the table of certificates."""
    answer = make_endpoint(cloud=Cloud(cloud)).get(PATH)
    der = base64.b64decode(answer["signature"])
    signer = pkcs7.load_der_pkcs7_certificates(der)[0]
    names = signer.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    domain = pattern.removeprefix("*.")
    assert all(
        name == domain or name.endswith(f".{domain}")
        for name in names.get_values_for_type(x509.DNSName)
    )


def test_the_region_is_the_location() -> None:
    """The region is the location."""
    with FakeImds() as imds:
        answer = imds.app.test_client().get(
            f"{PATH}?api-version=2020-09-01", headers={"Metadata": "true"}
        )
        verifier = Verifier(imds.authority.trust_store(), AppraisalPolicy())
        assert verifier.verify(answer.text, at=datetime.now(UTC)).region == "westus"


@pytest.mark.parametrize("nonce", ["1234567890", "a", "x" * 32, "0123456789abcdefABCDEF"])
def test_a_nonce_is_signed(endpoint: Endpoint, nonce: str) -> None:
    """A nonce is signed."""
    assert _content(endpoint.get(PATH, nonce=nonce))["nonce"] == nonce


@pytest.mark.parametrize("query", [{}, {"nonce": ""}])
def test_without_a_nonce_the_time_is_signed(endpoint: Endpoint, query: dict[str, str]) -> None:
    """Without a nonce the time is signed."""
    assert _content(endpoint.get(PATH, **query))["nonce"] == "20260625-180000"


@pytest.mark.parametrize("nonce", ["x" * 33, "a b", "a-b", "\u00e9", "\uff11"])
def test_a_nonce_that_is_refused(endpoint: Endpoint, nonce: str) -> None:
    """A nonce that is refused."""
    answer = endpoint.ask(PATH, nonce=nonce)
    assert answer.status_code == 400
    assert "nonce" in answer.json["error"]


def test_the_cache_gives_an_earlier_nonce(make_endpoint: MakeEndpoint, clock: Clock) -> None:
    """The page: "a previously cached nonce value might be returned"."""
    caching = make_endpoint(cache_nonce=True)
    first = caching.get(PATH, nonce="1111111111")
    clock.advance(CACHE_LIFETIME.total_seconds() - 1)
    assert caching.get(PATH, nonce="2222222222") == first
    assert _content(caching.get(PATH, "2018-10-01", nonce="3333333333"))["nonce"] == "3333333333"
    clock.advance(1)
    assert _content(caching.get(PATH, nonce="2222222222"))["nonce"] == "2222222222"


def test_without_the_cache_every_nonce_is_new(endpoint: Endpoint) -> None:
    """Without the cache every nonce is new."""
    for nonce in ("1111111111", "2222222222"):
        assert _content(endpoint.get(PATH, nonce=nonce))["nonce"] == nonce


def test_a_classic_vm_has_only_its_id(make_endpoint: MakeEndpoint) -> None:
    """A classic vm has only its id."""
    content = _content(make_endpoint({"classic": True}).get(PATH))
    assert content.pop("vmId") == "5c08b38e-4d57-4c23-ac45-aca61037f084"
    assert set(content.pop("plan").values()) == {""}
    del content["timeStamp"], content["nonce"]
    assert set(content.values()) == {""}


def test_the_vm_is_what_is_signed(make_endpoint: MakeEndpoint) -> None:
    """The vm is what is signed."""
    plan = {"name": "silver", "product": "scanner", "publisher": "contoso"}
    vm = make_endpoint({"compute": {"plan": plan, "licenseType": "Windows_Client", "sku": "s1"}})
    content = _content(vm.get(PATH))
    assert (content["plan"], content["licenseType"], content["sku"]) == (
        plan,
        "Windows_Client",
        "s1",
    )


@pytest.mark.parametrize("element", ["", "/document/more", "/other"])
def test_another_element(endpoint: Endpoint, element: str) -> None:
    """Another element."""
    assert endpoint.ask(f"/metadata/attested{element}").status_code == 404


def test_text_is_no_format_of_it(endpoint: Endpoint) -> None:
    """Text is no format of it."""
    assert endpoint.ask(PATH, format="text").status_code == 400


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_a_fault_is_served(make_endpoint: MakeEndpoint, mutation: Mutation) -> None:
    """What `--fault NAME` serves is refused with the mutation's code."""
    forging = make_endpoint(fault=mutation.name)
    answer = forging.ask(PATH)
    assert answer.status_code == 200
    if "crls" in mutation.demands:
        pytest.skip("the CRLs of this mutation are made with its evidence, for a caller alone")
    case = mutation.apply(forging.authority)
    with pytest.raises(AttestError) as caught:
        Verifier(case.trust, case.policy).verify(answer.text, at=START, nonce=case.nonce)
    assert caught.value.code == mutation.code


def test_an_unknown_fault(make_endpoint: MakeEndpoint) -> None:
    """An unknown fault."""
    with pytest.raises(ValueError, match="no mutation"):
        make_endpoint(fault="nothing")
    assert signing.fault_names()
