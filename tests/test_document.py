"""Tests of attest.document: step 6."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest

from attest import Code, Plan
from attest.document import MAX_CONTENT, MAX_STRINGS, parse_document, parse_timestamp
from tests.support.pki import NONCE, SUBSCRIPTION, VM_ID, make_content, make_fields
from tests.support.refusal import refused

TIMES = {"createdOn": "07/01/26 11:59:00 -0000", "expiresOn": "07/01/26 17:59:00 -0000"}


def test_every_field_is_read() -> None:
    """A document as Azure writes it comes out typed."""
    document = parse_document(make_content(licenseType="Windows_Server"))
    assert document.vm_id == UUID(VM_ID)
    assert document.subscription_id == SUBSCRIPTION
    assert document.sku == "20_04-lts-gen2"
    assert document.license_type == "Windows_Server"
    assert document.plan == Plan("gold", "suite", "acme")
    assert document.nonce == NONCE
    assert document.created_on == datetime(2026, 7, 1, 11, 59, tzinfo=UTC)
    assert document.expires_on == datetime(2026, 7, 1, 17, 59, tzinfo=UTC)
    assert document.extra == {}


def test_empty_text_means_absent() -> None:
    """What does not apply is written as "", and comes out as None."""
    plan = {"name": "", "product": "", "publisher": ""}
    document = parse_document(
        make_content(licenseType="", sku="", subscriptionId="", nonce="", plan=plan)
    )
    found = (document.license_type, document.sku, document.subscription_id, document.nonce)
    assert (*found, document.plan) == (None,) * 5


def test_part_of_a_plan_is_a_plan() -> None:
    """A plan with one part has that part and no other."""
    document = parse_document(make_content(plan={"name": "gold", "publisher": ""}))
    assert document.plan == Plan(name="gold")


def test_a_classic_vm_has_only_its_id() -> None:
    """VmId is the one field that Azure guarantees."""
    document = parse_document(json.dumps({"vmId": VM_ID}).encode())
    assert document.vm_id == UUID(VM_ID)
    assert (document.created_on, document.expires_on, document.nonce) == (None, None, None)


def test_unknown_fields_are_kept() -> None:
    """A field of a later api-version is neither lost nor an error."""
    document = parse_document(make_content(tags={"a": [1, None]}, vmScaleSet="x"))
    assert document.extra == {"tags": {"a": [1, None]}, "vmScaleSet": "x"}
    assert hash(document) == hash(
        parse_document(make_content(tags={"a": [1, None]}, vmScaleSet="x"))
    )


@pytest.mark.parametrize("text", [VM_ID.upper(), VM_ID])
def test_vm_id_compares_as_a_uuid(text: str) -> None:
    """Case does not matter in a UUID."""
    assert parse_document(make_content(vmId=text)).vm_id == UUID(VM_ID)


@pytest.mark.parametrize(
    "vm_id",
    [
        "x",
        VM_ID[:-1],
        f"{VM_ID}0",
        VM_ID.replace("-", ""),
        f"{{{VM_ID}}}",
        f"urn:uuid:{VM_ID}",
        f" {VM_ID}",
        f"{VM_ID}\n",
        VM_ID.replace("b", "g", 1),
        VM_ID.replace("1", "１", 1),
        "../" + VM_ID,
        7,
        True,
        [VM_ID],
        {"id": VM_ID},
    ],
)
def test_vm_id_must_be_a_uuid(vm_id: object) -> None:
    """Nothing that uuid.UUID would tolerate beside the one form passes."""
    with refused(Code.DOCUMENT_MALFORMED, 6, "vmId"):
        parse_document(make_content(vmId=vm_id))


def test_null_is_not_absent() -> None:
    """A null where a text belongs is malformed: Azure writes none."""
    with refused(Code.DOCUMENT_MALFORMED, 6, "vmId is not a string"):
        parse_document(b'{"vmId":null}')


@pytest.mark.parametrize("content", [b"{}", b'{"vmId":""}', b'{"nonce":"1"}'])
def test_vm_id_must_be_there(content: bytes) -> None:
    """Without a vmId a document says nothing."""
    with refused(Code.DOCUMENT_FIELD_MISSING, 6, "no vmId"):
        parse_document(content)


@pytest.mark.parametrize("missing", ["createdOn", "expiresOn"])
@pytest.mark.parametrize("value", ["", None])
def test_one_time_without_the_other_is_missing(missing: str, value: str | None) -> None:
    """Both times or neither."""
    times = {key: text for key, text in {**TIMES, missing: value}.items() if text is not None}
    with refused(Code.DOCUMENT_FIELD_MISSING, 6, missing):
        parse_document(make_content(timeStamp=times))


@pytest.mark.parametrize("key", ["nonce", "sku", "licenseType", "subscriptionId"])
@pytest.mark.parametrize("value", [0, 1.5, True, [], {}, ["a"]])
def test_texts_must_be_texts(key: str, value: object) -> None:
    """A field of another type is malformed, not converted."""
    with refused(Code.DOCUMENT_MALFORMED, 6, f"{key} is not a string"):
        parse_document(make_content(**{key: value}))


@pytest.mark.parametrize(("part", "key"), [("plan", "name"), ("timeStamp", "createdOn")])
@pytest.mark.parametrize("value", [1, [], None])
def test_parts_hold_texts(part: str, key: str, value: object) -> None:
    """So with the members of plan and timeStamp."""
    with refused(Code.DOCUMENT_MALFORMED, 6, f"{key} is not a string"):
        parse_document(make_content(**{part: {key: value}}))


@pytest.mark.parametrize("part", ["plan", "timeStamp"])
@pytest.mark.parametrize("value", ["", "x", 1, [], False])
def test_parts_must_be_objects(part: str, value: object) -> None:
    """Plan and timeStamp are objects."""
    with refused(Code.DOCUMENT_MALFORMED, 6, f"{part} is not an object"):
        parse_document(make_content(**{part: value}))


@pytest.mark.parametrize(
    "text", ["a\n", "a\0b", "\x1b[31m", "\u202eabc", "a\u2028b", "\ufeff", "a\u00a0b", "\x7f"]
)
@pytest.mark.parametrize("key", ["nonce", "sku"])
def test_texts_are_printable(text: str, key: str) -> None:
    """No field of a verified document can forge a log line or turn text around."""
    with refused(Code.DOCUMENT_MALFORMED, 6, "unprintable"):
        parse_document(make_content(**{key: text}))


def test_length_of_texts_is_bounded_exactly() -> None:
    """The bound is on all texts of the document together."""
    blank = {"licenseType": "", "subscriptionId": "", "nonce": "", "timeStamp": {}, "plan": {}}
    room = MAX_STRINGS - len(str(make_fields(**blank)["vmId"]))
    assert parse_document(make_content(**blank, sku="a" * room)).sku == "a" * room
    with refused(Code.DOCUMENT_MALFORMED, 6, "too long"):
        parse_document(make_content(**blank, sku="a" * (room + 1)))


def test_size_of_the_content_is_bounded_exactly() -> None:
    """32 KiB are read and one octet more is not."""
    content = make_content()
    assert parse_document(content.ljust(MAX_CONTENT)).vm_id
    with refused(Code.DOCUMENT_MALFORMED, 6, "32769 octets"):
        parse_document(content.ljust(MAX_CONTENT + 1))


@pytest.mark.parametrize(
    "key", ["VMID", "vmid", "VmId", "Nonce", "TIMESTAMP", "Plan", "sKu", "ſku", "subſcriptionId"]
)
def test_a_key_in_another_case_is_refused(key: str) -> None:
    """A reader that ignores case would see another document; Unicode's folding included."""
    with refused(Code.DOCUMENT_MALFORMED, 6, "only in case"):
        parse_document(make_content(**{key: "x"}))


@pytest.mark.parametrize(
    ("part", "key"), [("plan", "Name"), ("timeStamp", "createdon"), ("timeStamp", "EXPIRESON")]
)
def test_a_key_of_a_part_in_another_case_is_refused(part: str, key: str) -> None:
    """The rule holds within plan and timeStamp."""
    with refused(Code.DOCUMENT_MALFORMED, 6, "only in case"):
        parse_document(make_content(**{part: {key: "x"}}))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b'"a"',
        b"\xef\xbb\xbf" + make_content(),
        make_content().decode().encode("utf-16"),
        make_content().decode().encode("utf-16-le"),
        make_content().decode().encode("utf-32"),
        make_content() + make_content(),
        make_content() + b"\0",
        make_content() + b"\xff",
        b'{"vmId":"' + VM_ID.encode() + b'","vmId":"' + VM_ID.encode() + b'"}',
        b'{"vmId":"' + VM_ID.encode() + b'","x":NaN}',
        b'{"vmId":"' + VM_ID.encode() + b'","x":"\\ud800"}',
        b'{"vmId":"' + VM_ID.encode() + b'","x":' + b"[" * 500 + b"]" * 500 + b"}",
        b'{"vmId":"' + VM_ID.encode() + b'","x":' + b"9" * 5000 + b"}",
    ],
    ids=range(16),
)
def test_content_must_be_one_strict_json_object(content: bytes) -> None:
    """UTF-8, no BOM, no repeated keys, no NaN, bounded depth, nothing after it."""
    with refused(Code.DOCUMENT_MALFORMED, 6):
        parse_document(content)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("07/01/26 11:59:00 -0000", datetime(2026, 7, 1, 11, 59, tzinfo=UTC)),
        ("07/01/26 11:59:00 +0000", datetime(2026, 7, 1, 11, 59, tzinfo=UTC)),
        ("07/01/26 11:59:00 +0530", datetime(2026, 7, 1, 6, 29, tzinfo=UTC)),
        ("12/31/26 23:59:59 -0001", datetime(2027, 1, 1, 0, 0, 59, tzinfo=UTC)),
        ("02/29/28 00:00:00 -0000", datetime(2028, 2, 29, tzinfo=UTC)),
        ("01/01/68 00:00:00 -0000", datetime(2068, 1, 1, tzinfo=UTC)),
        ("01/01/69 00:00:00 -0000", datetime(1969, 1, 1, tzinfo=UTC)),
        ("01/01/00 00:00:00 -0000", datetime(2000, 1, 1, tzinfo=UTC)),
    ],
)
def test_timestamps_are_read(text: str, expected: datetime) -> None:
    """The one form, any numeric offset, and POSIX's century."""
    assert parse_timestamp(text) == expected
    assert parse_timestamp(text).tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "2026-07-01T11:59:00Z",
        "07/01/2026 11:59:00 -0000",
        "7/1/26 11:59:00 -0000",
        "07/01/26  11:59:00 -0000",
        "07/01/26T11:59:00 -0000",
        "07/01/26 11:59:00",
        "07/01/26 11:59:00 ",
        "07/01/26 11:59:00 Z",
        "07/01/26 11:59:00 UTC",
        "07/01/26 11:59:00 -00:00",
        "07/01/26 11:59:00.5 -0000",
        "07/01/26 11:59:00,5 -0000",
        "07/01/26 11:59:00 -0000 ",
        "07/01/26 11:59:00 -0000\n",
        " 07/01/26 11:59:00 -0000",
        "07/01/26 11:59: 0 -0000",
        "07/01/26 11:59:+0 -0000",
        "０7/01/26 11:59:00 -0000",
        "٠7/01/26 11:59:00 -0000",
        "13/01/26 11:59:00 -0000",
        "00/01/26 11:59:00 -0000",
        "02/29/26 11:59:00 -0000",
        "02/30/28 11:59:00 -0000",
        "07/01/26 24:00:00 -0000",
        "07/01/26 11:60:00 -0000",
        "07/01/26 11:59:60 -0000",
        "07/01/26 11:59:61 -0000",
        "07/01/26 11:59:00 +2400",
        "07/01/26 11:59:00 +0060",
        "07/01/26 11:59:00 +9999",
        "",
    ],
)
def test_other_timestamps_are_refused(text: str) -> None:
    """What strptime would let pass, and moments that do not exist, are refused."""
    with pytest.raises(ValueError, match=r"."):
        parse_timestamp(text)
    if text:
        with refused(Code.DOCUMENT_MALFORMED, 6):
            parse_document(make_content(timeStamp={**TIMES, "expiresOn": text}))
