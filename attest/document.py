"""Step 6: the signed content as an attested document.

Azure signs compact JSON in UTF-8; a field that does not apply is written as "".  Old api-versions
write only ``nonce``, ``plan``, ``timeStamp`` and ``vmId``, classic VMs perhaps only ``vmId``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NoReturn, cast
from uuid import UUID

from attest import strictjson
from attest.errors import Code, DocumentError, quote

MAX_CONTENT = 32 * 1024
MAX_STRINGS = 4096  # characters, in all known fields together

_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
# Exactly "MM/DD/YY HH:MM:SS -0000" in ASCII digits; any numeric UTC offset.  Times of day are
# bounded here, since releases of Python differ in what they take for 24:00 and +00:60.
_DAY = r"[0-9]{2}/[0-9]{2}/[0-9]{2}"
_HOURS, _SIXTIETHS = "(?:[01][0-9]|2[0-3])", "[0-5][0-9]"
_TIMESTAMP = re.compile(
    f"{_DAY} {_HOURS}:{_SIXTIETHS}:{_SIXTIETHS} [+-]{_HOURS}{_SIXTIETHS}", re.ASCII
)
_CENTURY_PIVOT = "69"  # POSIX strptime: 69 to 99 are 1969 to 1999, 00 to 68 are 2000 to 2068

_STRING_KEYS = ("vmId", "subscriptionId", "sku", "licenseType", "nonce")
_PLAN_KEYS = ("name", "product", "publisher")
_TIME_KEYS = ("createdOn", "expiresOn")
_PART_KEYS = {"plan": frozenset(_PLAN_KEYS), "timeStamp": frozenset(_TIME_KEYS)}
_DOCUMENT_KEYS = frozenset({*_STRING_KEYS, *_PART_KEYS})
_ABSENT: dict[str, object] = {}


@dataclass(frozen=True, slots=True)
class Plan:
    """The Azure Marketplace plan of the image: plan id, offer and publisher id."""

    name: str | None = None
    product: str | None = None
    publisher: str | None = None


@dataclass(frozen=True, slots=True)
class AttestedDocument:
    """What Azure signed about a VM; every ``None`` is a field that does not apply.

    Attributes:
        vm_id: the VM's unique identifier.
        subscription_id: the Azure subscription that pays for the VM.
        sku: the SKU of the image.
        license_type: the Azure Hybrid Benefit licence, if one is used.
        plan: the marketplace plan, ``None`` for an image without one.
        nonce: what the requester sent, or Azure's own where it sent nothing.
        created_on: when the document was signed, in UTC.
        expires_on: when it ends, in UTC.
        extra: fields unknown to this version, as parsed; not to be changed.
    """

    vm_id: UUID
    subscription_id: str | None
    sku: str | None
    license_type: str | None
    plan: Plan | None
    nonce: str | None
    created_on: datetime | None
    expires_on: datetime | None
    extra: Mapping[str, object] = field(hash=False)


def parse_document(content: bytes) -> AttestedDocument:
    """Parse the eContent octets.

    Args:
        content: the octets that the signature covers.

    Raises:
        DocumentError: ``document_malformed``, or ``document_field_missing`` when there is no
            vmId or only one of the two times.
    """
    if len(content) > MAX_CONTENT:
        _malformed(f"{len(content)} octets; the limit is {MAX_CONTENT}")
    try:
        fields = strictjson.loads_object(strictjson.decode_utf8(content))
    except (ValueError, RecursionError) as error:
        _malformed(f"the content is not JSON (RFC 8259) in UTF-8: {quote(str(error))}")
    plan, time_stamp = _part(fields, "plan"), _part(fields, "timeStamp")
    extra = _unknown_fields(fields, _DOCUMENT_KEYS)
    vm_id, subscription_id, sku, license_type, nonce, *parts = _strings(fields, plan, time_stamp)
    created_on, expires_on = parts[3:]
    if (not created_on) != (not expires_on):
        missing = "expiresOn" if created_on else "createdOn"
        raise DocumentError(Code.DOCUMENT_FIELD_MISSING, f"timeStamp has no {missing}")
    return AttestedDocument(
        vm_id=_vm_id(vm_id),
        subscription_id=subscription_id or None,
        sku=sku or None,
        license_type=license_type or None,
        plan=Plan(*[part or None for part in parts[:3]]) if any(parts[:3]) else None,
        nonce=nonce or None,
        created_on=_time("createdOn", created_on) if created_on else None,
        expires_on=_time("expiresOn", expires_on) if expires_on else None,
        extra=extra,
    )


def parse_timestamp(text: str) -> datetime:
    """Parse ``MM/DD/YY HH:MM:SS +hhmm``, the only form Azure writes.

    Returns:
        The moment in UTC.

    Raises:
        ValueError: the text has another form, or names no moment.
        OverflowError: the offset moves it out of the calendar.
    """
    if not _TIMESTAMP.fullmatch(text):
        msg = "not of the form MM/DD/YY HH:MM:SS -0000"
        raise ValueError(msg)
    year = text[6:8]
    century = "19" if year >= _CENTURY_PIVOT else "20"
    # Every character is known to be a digit by now, so ISO 8601 has one reading of this.
    iso = f"{century}{year}-{text[:2]}-{text[3:5]}T{text[9:17]}{text[18:21]}:{text[21:]}"
    return datetime.fromisoformat(iso).astimezone(UTC)


def _time(key: str, text: str) -> datetime:
    try:
        return parse_timestamp(text)
    except (ValueError, OverflowError) as error:
        _malformed(f"{key} is {quote(text)}: {error}")


def _vm_id(text: str) -> UUID:
    if not text:
        raise DocumentError(Code.DOCUMENT_FIELD_MISSING, "there is no vmId")
    if not _UUID.fullmatch(text):
        _malformed(f"vmId is {quote(text)}, not a UUID")
    return UUID(text)


def _part(fields: dict[str, object], key: str) -> dict[str, object]:
    part = fields.get(key, _ABSENT)
    if not isinstance(part, dict):
        _malformed(f"{key} is not an object")
    _unknown_fields(part, _PART_KEYS[key])
    return part


def _strings(
    fields: dict[str, object], plan: dict[str, object], time_stamp: dict[str, object]
) -> list[str]:
    """Return the values of all known keys, "" where absent: strings, printable, bounded."""
    values = [fields.get(key, "") for key in _STRING_KEYS]
    values += [plan.get(key, "") for key in _PLAN_KEYS]
    values += [time_stamp.get(key, "") for key in _TIME_KEYS]
    strings = cast("list[str]", values)
    try:
        joined = "".join(strings)
    except TypeError:
        joined = "\0"
    # One look at all of them together, and a second only to name the culprit.
    if len(joined) > MAX_STRINGS:
        _malformed(f"the values are too long: {len(joined)} characters; the limit is {MAX_STRINGS}")
    if not joined.isprintable():
        _refuse_values(values)
    return strings


def _refuse_values(values: list[object]) -> NoReturn:
    for key, value in zip((*_STRING_KEYS, *_PLAN_KEYS, *_TIME_KEYS), values, strict=True):
        if not isinstance(value, str):
            _malformed(f"{key} is not a string")
        if not value.isprintable():
            _malformed(f"{key} is {quote(value)}, with unprintable characters")
    raise AssertionError("no value is to blame")  # pragma: no cover - the caller found one


def _unknown_fields(fields: dict[str, object], known: frozenset[str]) -> dict[str, object]:
    if known.issuperset(fields):
        return {}
    unknown = {key: value for key, value in fields.items() if key not in known}
    folded = {key.casefold() for key in known}
    for key in unknown:
        # Readers that ignore case would take this one for the known one.
        if key.casefold() in folded:
            _malformed(f"the key {quote(key)} differs from a known one only in case")
    return unknown


def _malformed(detail: str) -> NoReturn:
    raise DocumentError(Code.DOCUMENT_MALFORMED, detail)
