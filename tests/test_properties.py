"""Properties: whatever comes in, a refusal or a result comes out, soon, and never a wrong one."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import assume, example, given
from hypothesis import strategies as st

from attest import AttestationResult, AttestError, Code, TrustStore, Verifier
from attest.document import parse_document, parse_timestamp
from attest.evidence import decode_evidence
from attest.strictjson import loads_object
from tests.support import der
from tests.support.pki import (
    AT,
    NONCE,
    SignerInfo,
    attributes_for,
    base64_text,
    ec_key,
    good_evidence,
    imds_json,
    issuer_and_serial,
    make_content,
    make_evidence,
    make_signer,
    pki,
    raw_sid,
    sign,
    timestamp,
)
from tests.support.vectors import real_documents

# The promise is 50 ms; a shared machine may stop a test for longer than that.
PATIENCE = 1.0

Sample = tuple[bytes, datetime, Verifier]


def _samples() -> list[Sample]:
    bundled = Verifier(TrustStore.bundled())
    own = pki().verifier()
    attributes = SignerInfo(signed_attributes=attributes_for(make_content()))
    ecdsa = make_signer(pki().intermediate, key=ec_key("signer"))
    bag = [pki().intermediate.der, pki().signer.der, pki().root.der]
    made = [
        good_evidence(),
        make_evidence(pki().signer, info=attributes),
        make_evidence(pki().signer, certificates=bag),
        make_evidence(ecdsa),
    ]
    return [
        *((real.der, real.at, bundled) for real in real_documents()),
        *((evidence, AT, own) for evidence in made),
    ]


samples = st.deferred(lambda: st.sampled_from(_samples()))


@contextlib.contextmanager
def in_time() -> Iterator[None]:
    """Demand an answer within reason."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < PATIENCE


def outcome(verifier: Verifier, evidence: str | bytes, at: datetime) -> AttestationResult | None:
    """Return the result, or ``None`` for a refusal; anything else is a failure of the test."""
    with in_time():
        try:
            return verifier.verify(evidence, at=at)
        except AttestError as error:
            refusal = error
    # Not in the handler: a failure here must not hide as its context.
    check_refusal(refusal)
    return None


def check_refusal(error: AttestError) -> None:
    """Demand what every refusal promises."""
    assert error.step == error.code.step
    assert error.detail.isprintable()
    assert error.detail.isascii()
    assert len(error.detail) < 2000


@st.composite
def mutations(draw: st.DrawFn) -> tuple[Sample, bytes]:
    """Draw a sample and a mutation of it: flips, cuts, insertions, copies, splices."""
    sample = draw(samples)
    evidence = sample[0]
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["flip", "set", "cut", "truncate", "insert", "copy", "splice"]))
        place = draw(st.integers(0, max(0, len(evidence) - 1)))
        length = draw(st.integers(1, 64))
        before, after = evidence[:place], evidence[place:]
        if kind in {"flip", "set"} and after:
            octet = after[0] ^ 1 << draw(st.integers(0, 7)) if kind == "flip" else length * 4 - 1
            evidence = before + bytes([octet]) + after[1:]
        elif kind == "cut":
            evidence = before + after[length:]
        elif kind == "truncate":
            evidence = before
        elif kind == "insert":
            evidence = before + draw(st.binary(min_size=1, max_size=16)) + after
        elif kind == "copy":
            evidence = before + after[:length] + after
        else:
            other = draw(samples)[0]
            evidence = before + other[place : place + length] + after[length:]
    return sample, evidence


@st.composite
def transplants(draw: st.DrawFn, tree: bytes) -> bytes:
    """Draw a tree of DER with one element changed, and every length above it right."""
    everywhere = der.places(tree)
    place = draw(st.sampled_from(everywhere[1:]))
    element = der.at(tree, place)
    contents = element[der.header_length(element) :]
    other = draw(
        st.one_of(
            st.binary(max_size=24).map(lambda value: der.tlv(element[0], value)),
            st.sampled_from(TAGS).map(lambda tag: der.tlv(tag, contents)),
            st.sampled_from(everywhere).map(lambda where: der.at(tree, where)),
            st.sampled_from([b"", element * 2, der.sequence(element), b"\x05\0", b"\x30\0"]),
        )
    )
    return der.replaced(tree, place, other)


# Every universal type, the context-specific ones of CMS and X.509, and a few of neither.
TAGS = [*range(1, 32), 0x30, 0x31, *range(0x80, 0x8A), *range(0xA0, 0xAA), 0x24, 0x5F, 0xFF]


@st.composite
def certificates(draw: st.DrawFn) -> bytes:
    """Draw a signer's certificate with one element changed, signed by the CA all the same."""
    tbs, algorithm, _ = der.parts(pki().signer.der)
    tbs = draw(transplants(tbs))
    signature = sign(pki().intermediate.key, tbs)
    return der.sequence(tbs, algorithm, der.tlv(0x03, b"\0", signature))


@given(st.data(), samples)
def test_transplants_are_refused_or_change_nothing(data: st.DataObject, sample: Sample) -> None:
    """An element changed in well-formed DER gets further than a flipped bit; no further."""
    original, at, verifier = sample
    mutant = data.draw(transplants(original))
    result = outcome(verifier, mutant, at)
    with in_time():
        verifier.inspect(mutant, at=at).to_dict()
    if result is not None:
        assert result.document == verifier.verify(original, at=at).document


@given(certificates())
def test_odd_certificates_are_read_or_refused(certificate: bytes) -> None:
    """A certificate that the CA did sign, whatever stands in it: as the signer's, and beside it."""
    try:
        sid = raw_sid(certificate)
    except (IndexError, ValueError):
        sid = issuer_and_serial(pki().signer.certificate)
    info = SignerInfo(sid=sid)
    alone = make_evidence(pki().signer, info=info, certificates=[certificate])
    beside = make_evidence(pki().signer, certificates=[certificate, pki().signer.der])
    for evidence in (alone, beside):
        result = outcome(pki().verifier(), evidence, AT)
        inspection = pki().verifier().inspect(evidence, at=AT)
        inspection.to_dict()
        assert (result is None) == any(item.status == "failed" for item in inspection.steps)
        if result is not None:
            result.to_dict()


@given(st.binary(max_size=2000))
@example(b"0\x80\0\0")
@example(b"0\x84\xff\xff\xff\xff")
@example(b"\x30" * 1000)
def test_any_octets_are_refused(data: bytes) -> None:
    """No exception but a refusal, whatever the octets."""
    assert outcome(pki().verifier(), data, AT) is None


@given(st.text(max_size=500))
@example("{" * 10_000)
@example('{"signature": "' + "A" * 1000)
@example("-" * 50_000)
@example("=" * 1000)
@example("\ud800")
@example('{"signature": "\\ud800"}')
def test_any_text_is_refused(text: str) -> None:
    """So with any text, surrogates and all."""
    assert outcome(pki().verifier(), text, AT) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=12,
)
document_keys = st.sampled_from(
    ["vmId", "nonce", "plan", "timeStamp", "sku", "licenseType", "subscriptionId", "VmId", "x"]
)


@given(st.dictionaries(st.sampled_from(["encoding", "signature", "Signature", "x"]), json_values))
def test_any_mapping_is_refused(mapping: dict[str, object]) -> None:
    """So with any parsed object of IMDS's shape."""
    try:
        decode_evidence(mapping)
    except AttestError as error:
        check_refusal(error)


@given(st.dictionaries(document_keys, json_values, max_size=6))
def test_any_signed_document_is_read_or_refused(fields: dict[str, object]) -> None:
    """Content that a genuine signer signed and that is no document is refused as such."""
    evidence = make_evidence(pki().signer, make_content(**fields))
    result = outcome(pki().verifier(), evidence, AT)
    if result is not None:
        assert result.document == parse_document(make_content(**fields))


@given(mutations())
def test_mutations_are_refused_or_change_nothing(mutation: tuple[Sample, bytes]) -> None:
    """A mutant verifies only where it says what the original says, signed by the same signer."""
    (original, at, verifier), mutant = mutation
    result = outcome(verifier, mutant, at)
    if result is not None:
        good = verifier.verify(original, at=at)
        assert result.document == good.document
        assert (result.cloud, result.region) == (good.cloud, good.region)
        assert result.path.certificates[0].public_key() == good.path.certificates[0].public_key()
        assert result.path.certificates[-1] == good.path.certificates[-1]


@given(mutations())
def test_mutants_can_be_inspected(mutation: tuple[Sample, bytes]) -> None:
    """Inspection raises nothing for bad evidence, and tells of all ten steps."""
    (_, at, verifier), mutant = mutation
    with in_time():
        inspection = verifier.inspect(mutant, at=at)
    assert len(inspection.steps) == 10
    inspection.to_dict()


@given(mutations())
def test_forms_of_evidence_agree(mutation: tuple[Sample, bytes]) -> None:
    """DER, base64 and IMDS JSON of the same octets have the same outcome."""
    (_, at, verifier), mutant = mutation
    assume(mutant)
    outcomes = []
    for evidence in (mutant, base64_text(mutant), imds_json(mutant)):
        try:
            outcomes.append(str(verifier.verify(evidence, at=at).document))
        except AttestError as error:
            outcomes.append(f"{error.code} {error.detail}")
    assert len(set(outcomes)) == 1


@given(st.data(), samples)
def test_a_changed_octet_of_the_content_never_verifies(data: st.DataObject, sample: Sample) -> None:
    """Any other octet in any place of the content: the signature is not good any more."""
    evidence, at, verifier = sample
    start = evidence.index(b'{"')
    end = evidence.index(b"}\xa0", start) + 1
    content = evidence[start:end]
    assert str(parse_document(content).vm_id).encode() in evidence
    place = data.draw(st.integers(0, len(content) - 1))
    octet = data.draw(st.integers(0, 255).filter(lambda value: value != content[place]))
    changed = content[:place] + bytes([octet]) + content[place + 1 :]
    try:
        verifier.verify(evidence[:start] + changed + evidence[end:], at=at)
    except AttestError as error:
        found = error.code
    assert found in {Code.SIGNATURE_INVALID, Code.SIGNED_ATTRIBUTES_INVALID}


@given(st.text(max_size=40), st.text(max_size=40))
def test_only_the_expected_nonce_matches(written: str, expected: str) -> None:
    """Two nonces match exactly when they are equal and not empty."""
    evidence = make_evidence(pki().signer, make_content(nonce=written))
    try:
        pki().verifier().verify(evidence, at=AT, nonce=expected)
    except AttestError as error:
        assert error.code in {Code.NONCE_MISMATCH, Code.DOCUMENT_MALFORMED}
        if error.code is Code.NONCE_MISMATCH:
            assert written != expected or not written
    else:
        assert written == expected != ""


moments = st.datetimes(
    min_value=datetime(1970, 1, 2),  # noqa: DTZ001 - Hypothesis asks for naive bounds
    max_value=datetime(2068, 12, 30),  # noqa: DTZ001
    timezones=st.just(UTC),
).map(lambda moment: moment.replace(microsecond=0))


@given(moments)
def test_timestamps_round_trip(moment: datetime) -> None:
    """What Azure would write for a moment is read as that moment."""
    assert parse_timestamp(timestamp(moment)) == moment


@given(moments, st.integers(-23 * 60 - 59, 23 * 60 + 59))
def test_timestamps_with_offsets_round_trip(moment: datetime, minutes: int) -> None:
    """So with any offset of less than a day."""
    there = moment.astimezone(timezone(timedelta(minutes=minutes)))
    assume(1970 <= there.year <= 2068)
    text = there.strftime("%m/%d/%y %H:%M:%S ") + f"{'-' if minutes < 0 else '+'}"
    text += f"{abs(minutes) // 60:02}{abs(minutes) % 60:02}"
    assert parse_timestamp(text) == moment


@given(st.text(alphabet="0123456789/:+- TZ.,\u0663\uff11", max_size=30))
def test_other_timestamps_are_errors(text: str) -> None:
    """No text but the one form is read, and no other error than the documented ones is raised."""
    try:
        parse_timestamp(text)
    except (ValueError, OverflowError):
        return
    assert len(text) == 23
    assert text.isascii()


@given(st.dictionaries(st.text(max_size=8), json_values, max_size=4))
def test_json_is_read_or_an_error(value: dict[str, object]) -> None:
    """What the standard library writes is read back equal, or is an error, never another value."""
    text = make_content(**{key: item for key, item in value.items() if item is not None})
    try:
        decoded = loads_object(text.decode("utf-8"))
    except ValueError:
        return
    for key, item in value.items():
        if item is not None:
            assert decoded[key] == item


def test_the_samples_are_good() -> None:
    """The samples verify as they stand: the properties above start from good evidence."""
    for evidence, at, verifier in _samples():
        assert verifier.verify(evidence, at=at)
    assert NONCE.encode() in good_evidence()
