"""The mutation catalogue through HTTP: each fault gets its code."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from attest import AppraisalPolicy, Plan
from attest.certificates import describe
from attest.result import certificate_to_dict
from attest.testing import FakeAuthority
from attest.testing.mutations import MUTATIONS, Mutation
from service import migrate
from service.app import create_app, service_of
from service.settings import SettingsError, load_settings

# What is not one JSON object without repeated names is no request, whatever was meant by it.
NOT_JSON = {"signature_repeated", "answer_cut_short"}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_mutation(mutation: Mutation, authority: FakeAuthority, tmp_path: Path) -> None:
    """422, the code, its step."""
    case = mutation.apply(authority)
    values: dict[str, Any] = {
        "trust": trust_folder(authority, tmp_path / "trust"),
        "database_url": f"sqlite:///{tmp_path}/attest.db",
        "fetch_issuers": False,
        **policy_settings(case.policy),
    }
    if case.crls is not None:
        values["crls"] = tmp_path / "crls.pem"
        values["crls"].write_bytes(b"".join(c.public_bytes(Encoding.PEM) for c in case.crls))
        if not case.crls:
            # A file without any is refused when the service starts: it fails closed, earlier.
            with pytest.raises(SettingsError, match=r"holds no CRL|the CRLs cannot be loaded"):
                create_app(load_settings(**values))
            return
    settings = load_settings(**values)
    migrate.upgrade(settings.database)
    app = create_app(settings, clock=lambda: case.at)
    text = case.evidence
    if case.nonce is not None:
        text = json.dumps({**json.loads(text), "nonce": case.nonce})
    response = app.test_client().post("/v1/verify", data=text, content_type="application/json")
    service_of(app).database.close()
    if mutation.name in NOT_JSON:
        assert response.status_code == 400
        assert response.get_json()["code"] == "malformed_request"
        return
    assert response.status_code == 422, response.text
    problem = response.get_json()
    assert (problem["code"], problem["step"]) == (mutation.code, mutation.code.step)


def trust_folder(authority: FakeAuthority, folder: Path) -> Path:
    """Write a trust store that trusts the authority for its own cloud alone."""
    entries = []
    for role, certificates in (
        ("anchor", authority.anchors),
        ("intermediate", authority.intermediates),
    ):
        (folder / f"{role}s").mkdir(parents=True)
        for number, certificate in enumerate(certificates):
            file = f"{role}s/{number}.pem"
            (folder / file).write_bytes(certificate.public_bytes(Encoding.PEM))
            info = certificate_to_dict(describe(certificate))
            info["serial"] = info.pop("serial_number")
            clouds = [str(authority.cloud)]
            entries.append({"file": file, "role": role, "clouds": clouds, **info})
    text = json.dumps({"version": 1, "certificates": entries})
    (folder / "manifest.json").write_text(text)
    return folder


def policy_settings(policy: AppraisalPolicy) -> dict[str, Any]:
    """Return the settings that make a policy."""

    def seconds(duration: timedelta | None) -> int | None:
        return None if duration is None else int(duration.total_seconds())

    plans = None if policy.plans is None else [_plan(plan) for plan in policy.plans]
    values = {
        "clouds": tuple(policy.clouds),
        "skew": seconds(policy.skew),
        "require_challenge": policy.require_nonce,
        "allow_caller_nonce": True,
        "allow_missing_timestamps": policy.allow_missing_timestamps,
        "plans": plans,
        **{
            name: None if (value := getattr(policy, name)) is None else tuple(value)
            for name in ("subscriptions", "vms", "skus", "license_types", "regions")
        },
    }
    if policy.max_age is not None:
        values["max_age"] = seconds(policy.max_age)
    return values


def _plan(plan: Plan) -> dict[str, str | None]:
    return {"name": plan.name, "product": plan.product, "publisher": plan.publisher}
