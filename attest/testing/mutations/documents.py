"""Faults of the signed document: its JSON, its fields, its times, its nonce, and the policy."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import TypedDict, Unpack
from uuid import UUID

from attest.document import Plan
from attest.errors import Code
from attest.policy import AppraisalPolicy
from attest.testing.document import azure_time
from attest.testing.mutations.case import Catalogue, Forge, Forged, Mutation

CATALOGUE = Catalogue()
fault = CATALOGUE.fault

_SECOND = timedelta(seconds=1)
_HOUR = timedelta(hours=1)
_NONCE = "1234567890"
_OTHER_NONCE = "0987654321"
_OTHER_ID = UUID("00000000-0000-4000-8000-000000000001")
_GOLD = Plan(name="gold", product="scanner", publisher="contoso")
_SILVER = Plan(name="silver", product="scanner", publisher="contoso")


class _Demands(TypedDict, total=False):
    max_age: timedelta
    require_nonce: bool
    subscriptions: Collection[str]
    vms: Collection[UUID]
    plans: Collection[Plan]
    skus: Collection[str]
    license_types: Collection[str]
    regions: Collection[str]


# Octets that a trusted signer should never sign; % is the good JSON without its braces.
_WRONG_CONTENT: dict[str, tuple[bytes, str]] = {
    "json_absent": (b"", "The signed content is empty."),
    "json_text": (b'"{}"', "The signed content is not a JSON object."),
    "json_array": (b"[{%}]", "The document stands in an array."),
    "json_twice": (b"{%}{%}", "Two documents are signed as one."),
    "json_cut_short": (b"{%", "The document ends early."),
    "json_key_repeated": (
        b'{%,"vmId":"00000000-0000-4000-8000-000000000001"}',
        "vmId stands there twice; readers differ in which one counts.",
    ),
    "json_nan": (b'{%,"x":NaN}', "A number is NaN, which JSON does not have."),
    "json_deep": (b'{%,"x":' + b"[" * 500 + b"]" * 500 + b"}", "JSON nests too deep."),
    "json_surrogate": (b'{%,"x":"\\ud800"}', "A text holds half a surrogate pair."),
    "json_byte_order_mark": (b"\xef\xbb\xbf{%}", "A byte order mark precedes the document."),
    "json_latin_1": (b'{%,"x":"\xe9"}', "The document is not UTF-8."),
}
# Keys of the document and values that they must not have.
_WRONG_FIELDS: dict[str, tuple[dict[str, object], str]] = {
    "vm_id_no_uuid": ({"vmId": "vm-1"}, "vmId is not a UUID."),
    "vm_id_without_hyphens": ({"vmId": "0" * 32}, "vmId is a UUID without hyphens."),
    "vm_id_line_feed": ({"vmId": f"{_OTHER_ID}\n"}, "A line feed follows the vmId."),
    "vm_id_number": ({"vmId": 7}, "vmId is a number."),
    "vm_id_null": ({"vmId": None}, "vmId is null."),
    "key_in_capitals": ({"VMID": str(_OTHER_ID)}, "A second vmId differs only in case."),
    "sku_control_character": ({"sku": "a\x1b[2J"}, "The sku holds a control sequence."),
    "sku_too_long": ({"sku": "a" * 5000}, "The sku is longer than any."),
    "nonce_number": ({"nonce": 1234567890}, "The nonce is a number."),
    "plan_text": ({"plan": "gold"}, "The plan is a text."),
    "time_stamp_text": ({"timeStamp": "now"}, "timeStamp is a text."),
    "time_iso": (
        {"timeStamp": {"createdOn": "2026-01-01T00:00:00Z", "expiresOn": "2026-01-01T06:00:00Z"}},
        "The times are RFC 3339, which Azure does not write.",
    ),
    "time_month_13": (
        {
            "timeStamp": {
                "createdOn": "13/01/26 00:00:00 -0000",
                "expiresOn": "13/01/26 06:00:00 -0000",
            }
        },
        "The times are in a thirteenth month.",
    ),
}


def _wrong_content(name: str, pattern: bytes, what: str) -> Mutation:
    def function(forge: Forge) -> bytes:
        good = _whole(forge)[1:-1]
        return forge.sign(content=pattern.replace(b"%", good)).der

    function.__name__, function.__doc__ = name, what
    return fault(Code.DOCUMENT_MALFORMED)(function)


def _wrong_field(name: str, override: dict[str, object], what: str) -> Mutation:
    def function(forge: Forge) -> bytes:
        return forge.sign(override=override).der

    function.__name__, function.__doc__ = name, what
    return fault(Code.DOCUMENT_MALFORMED)(function)


for _name, (_pattern, _what) in _WRONG_CONTENT.items():
    _wrong_content(_name, _pattern, _what)
for _name, (_override, _what) in _WRONG_FIELDS.items():
    _wrong_field(_name, _override, _what)


@fault(Code.DOCUMENT_MALFORMED)
def json_utf_16(forge: Forge) -> bytes:
    """The document is in UTF-16."""
    return forge.sign(content=_whole(forge).decode().encode("utf-16")).der


@fault(Code.DOCUMENT_FIELD_MISSING)
def vm_id_absent(forge: Forge) -> bytes:
    """There is no vmId."""
    return forge.sign(omit=frozenset({"vmId"}), override={}).der


@fault(Code.DOCUMENT_FIELD_MISSING)
def vm_id_empty(forge: Forge) -> bytes:
    """VmId is an empty text."""
    return forge.sign(override={"vmId": ""}).der


@fault(Code.DOCUMENT_FIELD_MISSING)
def time_stamp_absent(forge: Forge) -> bytes:
    """There is no timeStamp, so nothing tells how old the document is."""
    return forge.sign(omit=frozenset({"timeStamp"}), override={}).der


@fault(Code.DOCUMENT_FIELD_MISSING)
def expires_on_absent(forge: Forge) -> bytes:
    """The document does not say when it ends."""
    stamp = {"createdOn": azure_time(forge.authority.now())}
    return forge.sign(override={"timeStamp": stamp}).der


@fault(Code.DOCUMENT_EXPIRED)
def document_expired(forge: Forge) -> bytes:
    """The document ended a second ago."""
    return _timed(forge, -6 * _HOUR - _SECOND, 6 * _HOUR)


@fault(Code.DOCUMENT_NOT_YET_VALID)
def document_of_the_future(forge: Forge) -> bytes:
    """The document is created an hour from now."""
    return _timed(forge, _HOUR, 6 * _HOUR)


@fault(Code.DOCUMENT_LIFETIME_INVALID)
def lifetime_too_long(forge: Forge) -> bytes:
    """The document lives longer than a day."""
    return _timed(forge, -_HOUR, 24 * _HOUR + _SECOND)


@fault(Code.DOCUMENT_LIFETIME_INVALID)
def lifetime_negative(forge: Forge) -> bytes:
    """The document ends before it is created."""
    return _timed(forge, _SECOND, -2 * _SECOND)


@fault(Code.DOCUMENT_LIFETIME_INVALID)
def lifetime_zero(forge: Forge) -> bytes:
    """The document ends when it is created."""
    return _timed(forge, 0 * _SECOND, 0 * _SECOND)


@fault(Code.DOCUMENT_TOO_OLD, "policy")
def document_too_old(forge: Forge) -> Forged:
    """The document has not ended, and is older than the policy accepts."""
    policy = _policy(forge, max_age=timedelta(minutes=5))
    return Forged(der=_timed(forge, -_HOUR, 6 * _HOUR), policy=policy)


@fault(Code.NONCE_MISMATCH, "nonce")
def nonce_other(forge: Forge) -> Forged:
    """The document answers another request: it is replayed."""
    return _nonce(forge, _OTHER_NONCE)


@fault(Code.NONCE_MISMATCH, "nonce")
def nonce_default(forge: Forge) -> Forged:
    """The document has the nonce that IMDS writes when it is asked for none."""
    return _nonce(forge, None)


@fault(Code.NONCE_MISMATCH, "nonce")
def nonce_longer(forge: Forge) -> Forged:
    """The document's nonce only starts with the expected one."""
    return _nonce(forge, f"{_NONCE}0")


@fault(Code.NONCE_MISMATCH, "nonce")
def nonce_shorter(forge: Forge) -> Forged:
    """The document's nonce is only the start of the expected one."""
    return _nonce(forge, _NONCE[:-1])


@fault(Code.NONCE_MISMATCH, "nonce")
def nonce_space(forge: Forge) -> Forged:
    """The document's nonce is the expected one and a space."""
    return _nonce(forge, f"{_NONCE} ")


@fault(Code.NONCE_MISMATCH, "nonce")
def nonce_absent(forge: Forge) -> Forged:
    """The document has no nonce."""
    evidence = forge.sign(omit=forge.document().omit | {"nonce"}, override={})
    return Forged(der=evidence.der, nonce=_NONCE)


@fault(Code.NONCE_REQUIRED, "policy")
def nonce_not_expected(forge: Forge) -> Forged:
    """The policy requires a nonce, and the relying party expects none."""
    return Forged(der=forge.sign().der, policy=_policy(forge, require_nonce=True))


@fault(Code.SUBSCRIPTION_NOT_ALLOWED, "policy")
def subscription_other(forge: Forge) -> Forged:
    """The VM belongs to a subscription that bought no licence."""
    return Forged(der=forge.sign().der, policy=_policy(forge, subscriptions={str(_OTHER_ID)}))


@fault(Code.SUBSCRIPTION_NOT_ALLOWED, "policy")
def subscription_absent(forge: Forge) -> Forged:
    """The document does not tell the subscription that the policy asks for."""
    evidence = forge.sign(subscription_id="", override={})
    return Forged(der=evidence.der, policy=_policy(forge, subscriptions={""}))


@fault(Code.VM_NOT_ALLOWED, "policy")
def vm_other(forge: Forge) -> Forged:
    """The document is another VM's."""
    return Forged(der=forge.sign().der, policy=_policy(forge, vms={_OTHER_ID}))


@fault(Code.PLAN_NOT_ALLOWED, "policy")
def plan_other(forge: Forge) -> Forged:
    """The VM runs another plan of the same offer."""
    evidence = forge.sign(plan=_SILVER, omit=frozenset(), override={})
    return Forged(der=evidence.der, policy=_policy(forge, plans={_GOLD}))


@fault(Code.PLAN_NOT_ALLOWED, "policy")
def plan_absent(forge: Forge) -> Forged:
    """The VM runs an image without a plan: nobody pays the publisher."""
    evidence = forge.sign(plan=None, override={})
    return Forged(der=evidence.der, policy=_policy(forge, plans={_GOLD}))


@fault(Code.PLAN_NOT_ALLOWED, "policy")
def plan_of_other_publisher(forge: Forge) -> Forged:
    """Another publisher's plan has the same name and offer."""
    plan = Plan(name="gold", product="scanner", publisher="fabrikam")
    evidence = forge.sign(plan=plan, omit=frozenset(), override={})
    return Forged(der=evidence.der, policy=_policy(forge, plans={_GOLD}))


@fault(Code.SKU_NOT_ALLOWED, "policy")
def sku_other(forge: Forge) -> Forged:
    """The VM's image has another SKU."""
    return Forged(der=forge.sign().der, policy=_policy(forge, skus={"other-sku"}))


@fault(Code.LICENSE_TYPE_NOT_ALLOWED, "policy")
def license_type_other(forge: Forge) -> Forged:
    """The VM has no Azure Hybrid Benefit licence."""
    evidence = forge.sign(license_type="", override={})
    return Forged(der=evidence.der, policy=_policy(forge, license_types={"Windows_Server"}))


@fault(Code.REGION_NOT_ALLOWED, "policy")
def region_other(forge: Forge) -> Forged:
    """The VM runs in another region."""
    return Forged(der=forge.sign().der, policy=_policy(forge, regions={"antarcticanorth"}))


@fault(Code.REGION_NOT_ALLOWED, "policy")
def region_not_told(forge: Forge) -> Forged:
    """The signer's names tell no region, and the policy asks for one."""
    authority = forge.authority
    signer = authority.issue_signer(names=(authority.cloud.signer_domain,))
    policy = _policy(forge, regions={authority.region})
    return Forged(der=forge.sign(signer=signer).der, policy=policy)


def _whole(forge: Forge) -> bytes:
    return forge.content(omit=frozenset(), override={})


def _timed(forge: Forge, start: timedelta, lifetime: timedelta) -> bytes:
    created_on = forge.authority.now() + start
    return forge.sign(created_on=created_on, lifetime=lifetime, omit=frozenset(), override={}).der


def _nonce(forge: Forge, nonce: str | None) -> Forged:
    evidence = forge.sign(nonce=nonce, omit=frozenset(), override={})
    return Forged(der=evidence.der, nonce=_NONCE)


def _policy(forge: Forge, **demands: Unpack[_Demands]) -> AppraisalPolicy:
    return AppraisalPolicy(clouds={forge.authority.cloud}, **demands)
