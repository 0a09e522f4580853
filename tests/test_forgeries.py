"""The corpus of forgeries and the bad documents: each gets its answer, soon and without a crash."""

from __future__ import annotations

import time
import warnings

import pytest

from attest import AttestError, Code, TrustStore, Verifier
from tests.support.pki import base64_text
from tests.support.refusal import refused
from tests.support.vectors import Forgery, bad_document, forgeries, forgery_store

every_forgery = pytest.mark.parametrize("forgery", forgeries(), ids=lambda item: item.name)


def answer(forgery: Forgery, evidence: str | bytes, *, served: bool) -> str:
    """Verify within the time limit and return ``accept`` or ``reject``."""
    intermediates = forgery.served if served else ()
    verifier = Verifier(forgery_store())
    start = time.monotonic()
    try:
        verifier.verify(evidence, at=forgery.at, nonce=forgery.nonce, intermediates=intermediates)
    except AttestError:
        found = "reject"
    else:
        found = "accept"
    assert time.monotonic() - start < forgery.limit
    return found


def test_the_corpus_is_whole() -> None:
    """Files that went missing would be forgeries that nobody tries."""
    assert len(forgeries()) == 147
    assert sum(item.answer == "reject" for item in forgeries()) == 121
    assert sum(item.answer == "accept" for item in forgeries()) == 6
    assert sum(bool(item.served) for item in forgeries()) == 11


@every_forgery
@pytest.mark.parametrize("form", ["der", "base64"])
@pytest.mark.parametrize("served", [False, True])
def test_it_gets_its_answer(forgery: Forgery, form: str, served: bool) -> None:
    """Accept what must be accepted, reject what must be rejected, decide the rest in time."""
    evidence = forgery.der if form == "der" else base64_text(forgery.der)
    assert (
        answer(forgery, evidence, served=served)
        in {
            "accept": {"accept"},
            "reject": {"reject"},
            "either": {"accept", "reject"},
        }[forgery.answer]
    )


@every_forgery
def test_warnings_change_no_answer(forgery: Forgery) -> None:
    """A program that ignores warnings gets the answers of one that makes them errors."""
    strict = answer(forgery, forgery.der, served=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert answer(forgery, forgery.der, served=True) == strict


@every_forgery
def test_inspecting_it_raises_nothing(forgery: Forgery) -> None:
    """Ten steps are told of whatever it is; a forgery never passes all of them."""
    inspection = Verifier(forgery_store()).inspect(
        forgery.der, at=forgery.at, nonce=forgery.nonce, intermediates=forgery.served
    )
    assert [item.step for item in inspection.steps] == list(range(1, 11))
    inspection.to_dict()
    if forgery.answer == "reject":
        assert any(item.status == "failed" for item in inspection.steps)


@pytest.mark.parametrize("store", ["bundled", "corpus"])
def test_genuine_corpus_documents_are_not_azures(store: str) -> None:
    """The corpus's own good document is good under its own root only."""
    good = next(item for item in forgeries() if item.name == "good")
    if store == "corpus":
        assert Verifier(forgery_store()).verify(good.der, at=good.at, nonce=good.nonce)
        return
    with refused(Code.ISSUER_UNKNOWN, 8):
        Verifier(TrustStore.bundled()).verify(good.der, at=good.at, nonce=good.nonce)


@pytest.mark.parametrize(
    ("name", "code", "step"),
    [
        ("azure_docs_sample_2018", Code.SIGNER_NAME_MISMATCH, 4),
        ("wrong_subject", Code.SIGNER_NAME_MISMATCH, 4),
    ],
)
def test_bad_documents_are_refused_for_their_signer(name: str, code: Code, step: int) -> None:
    """Neither the page's sample nor a stranger's test document is signed by a metadata signer."""
    bad = bad_document(name)
    with refused(code, step):
        Verifier(TrustStore.bundled()).verify(bad.signature, at=bad.at)


@pytest.mark.parametrize("name", ["azure_docs_sample_2018", "wrong_subject"])
def test_signatures_of_bad_documents_are_good(name: str) -> None:
    """They parse, and their signatures verify: only who signed is wrong."""
    bad = bad_document(name)
    inspection = Verifier(TrustStore.bundled()).inspect(bad.signature, at=bad.at)
    assert [inspection.steps[number - 1].status for number in (1, 2, 3, 5)] == ["passed"] * 4
    assert inspection.steps[3].status == "failed"
