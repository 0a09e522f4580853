"""The fixture ``fake_imds``."""

from __future__ import annotations

from attest import AppraisalPolicy, Verifier
from attest.imds import ImdsClient
from attest.testing import FakeAuthority, plugin
from attest.testing.imds import FakeImds

# The plugin may be installed or not: its fixtures are those of the code under test.
fake_authority = plugin.fake_authority
fake_imds = plugin.fake_imds


def test_fake_imds(fake_imds: FakeImds, fake_authority: FakeAuthority) -> None:
    """It is live, and its documents are those of ``fake_authority``."""
    evidence = ImdsClient(fake_imds.url).attested_document("1234567890")
    verifier = Verifier(fake_authority.trust_store(), AppraisalPolicy())
    result = verifier.verify(evidence, at=fake_authority.now(), nonce="1234567890")
    assert str(result.document.vm_id) == fake_imds.emulator.vm.compute["vmId"]
