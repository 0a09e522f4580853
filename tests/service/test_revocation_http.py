"""Revocation over HTTP: what the policies answer, and CRL files that change under way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from flask import Flask
from werkzeug.test import TestResponse

from attest.testing import FakeAuthority
from service.app import service_of
from tests.service.conftest import Clock, Make
from tests.service.test_verify import signed


@pytest.fixture
def crls(tmp_path: Path, authority: FakeAuthority, clock: Clock) -> Path:
    """A file with the CRLs of the fake authority, which revoke nobody."""
    file = tmp_path / "crls.pem"
    file.write_bytes(pem(authority, clock))
    return file


def pem(authority: FakeAuthority, clock: Clock, **options: Any) -> bytes:
    """Return the authority's CRLs as PEM."""
    found = authority.crls(at=clock(), **options)
    return b"".join(crl.public_bytes(Encoding.PEM) for crl in found)


def verify(app: Flask, authority: FakeAuthority, clock: Clock) -> TestResponse:
    """Have a new document verified."""
    return app.test_client().post("/v1/verify", json=signed(authority, clock))


def test_a_revoked_signer_is_refused_once_the_file_says_so(
    make: Make, authority: FakeAuthority, clock: Clock, crls: Path
) -> None:
    """From the next verification after the worker has seen the file, warm caches or not."""
    app = make(crls=crls, require_challenge=False)
    for _ in range(2):
        assert verify(app, authority, clock).get_json()["revocation"] == "good"
    crls.write_bytes(pem(authority, clock, revoked=[authority.signer]))
    for task in service_of(app).tasks():
        task.run()
    answer = verify(app, authority, clock)
    assert (answer.status_code, answer.get_json()["code"]) == (422, "certificate_revoked")


def test_soft_and_unchecked(
    make: Make, authority: FakeAuthority, clock: Clock, tmp_path: Path
) -> None:
    """Unknown is told, and so is that nothing was checked."""
    file = tmp_path / "partial.pem"
    file.write_bytes(authority.crls(at=clock())[-1].public_bytes(Encoding.PEM))
    soft = make(crls=file, revocation="soft", require_challenge=False)
    assert verify(soft, authority, clock).get_json()["revocation"] == "unknown"
    hard = make(crls=file, require_challenge=False)
    assert verify(hard, authority, clock).get_json()["code"] == "revocation_unknown"
    off = make(crls=file, revocation="off", require_challenge=False)
    assert verify(off, authority, clock).get_json()["revocation"] == "unchecked"
