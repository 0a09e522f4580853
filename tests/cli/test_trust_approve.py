"""``attest trust pending``, ``approve``, ``dismiss`` and ``add``: an unknown issuer is healed."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from attest import Cloud, IssuerUnknownError, TrustStore, Verifier
from attest.certificates import fingerprint
from attest.cli import issuers
from attest.operator_folder import read_operator_folders
from attest.path import Origin
from attest.testing import FakeAuthority
from service import migrate
from service.database import Database
from service.quarantine import Quarantine
from service.settings import load_settings
from service.trust import load_trust
from tests.cli.conftest import Attest
from tests.support.pki import ec_key, pem_of

DAY = timedelta(days=1)


class Site:
    """A service's settings, its folder, and evidence whose issuer it does not know."""

    def __init__(self, root: Path, now: datetime | None = None) -> None:
        self.authority = FakeAuthority(now=now)
        self.folder = root / "trust.d"
        self.folder.mkdir()
        roots = root / "roots.pem"
        roots.write_bytes(pem_of(*self.authority.anchors))
        self.links = root / "links.pem"
        self.links.write_bytes(pem_of(*self.authority.intermediates))
        self.config = root / "attest.toml"
        self.config.write_text(
            f'data_dir = "{root}/data"\ntest_trust = "{roots}"\ntrust_dirs = ["{self.folder}"]\n'
        )
        self.evidence = self.authority.sign()
        self.sha256 = fingerprint(self.authority.signer)

    def with_quarantine(self, use: Callable[[Quarantine], None]) -> None:
        """Use the service's quarantine."""
        settings = load_settings(self.config)
        migrate.upgrade(settings.database)
        database = Database(settings.database)
        use(Quarantine(database, clock=lambda: datetime.now(UTC)))
        database.close()

    def record(self, authority: FakeAuthority | None = None) -> None:
        """Record evidence of this or another authority."""
        authority = authority or self.authority
        error = IssuerUnknownError("nobody knows it", authority.signer)
        evidence = base64.b64encode(authority.sign().der).decode()
        self.with_quarantine(lambda quarantine: quarantine.record(error, evidence))

    def forge(self) -> str:
        """Record evidence in the real issuer's name; return its signer's fingerprint."""
        real = self.authority.signer
        key = ec_key("forger")
        builder = x509.CertificateBuilder(
            issuer_name=real.issuer,
            subject_name=real.subject,
            public_key=key.public_key(),
            serial_number=real.serial_number,
            not_valid_before=real.not_valid_before_utc,
            not_valid_after=real.not_valid_after_utc,
            extensions=list(real.extensions),
        )
        error = IssuerUnknownError("forged", builder.sign(key, hashes.SHA256()))
        evidence = base64.b64encode(self.evidence.der).decode()
        self.with_quarantine(lambda quarantine: quarantine.record(error, evidence))
        return fingerprint(error.certificate)

    def forget(self) -> None:
        """Remove the one record."""
        self.with_quarantine(lambda quarantine: quarantine.remove(quarantine.pending()[0]))

    def store(self) -> TrustStore:
        """Return what the service trusts now."""
        return load_trust(load_settings(self.config))

    def files(self) -> list[str]:
        """Return the names of the files in the folder."""
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Return a site with one record, and no network."""
    monkeypatch.setattr(issuers, "aia_source", lambda: None)
    site = Site(tmp_path)
    site.record()
    return site


class Published:
    """A source of issuers that finds what an authority publishes."""

    def __init__(self, authority: FakeAuthority) -> None:
        self._authority = authority

    def candidates(
        self, certificate: x509.Certificate, trusted: Sequence[x509.Certificate]
    ) -> Sequence[x509.Certificate]:
        """Return everything that is published."""
        return list(self._authority.certificates_by_url().values())


def test_pending(attest: Attest, site: Site) -> None:
    """All that an operator needs to decide, and the command to type."""
    outcome = attest("trust", "pending", "--config", site.config)
    assert outcome.status == 0
    issuer = site.authority.signer.issuer.rfc4514_string()
    assert outcome.out.startswith(f"1 unknown issuer\n\n{issuer}\n")
    assert f"sha256     {site.sha256}\n" in outcome.out
    assert f"attest trust approve {site.sha256[:16]}\n" in outcome.out
    (record,) = json.loads(
        attest("trust", "pending", "--config", site.config, "--format", "json").out
    )["pending"]
    assert record["issuer"] == issuer
    assert record["signer_sha256"] == site.sha256
    assert record["count"] == 1
    assert record["aia_urls"]
    assert set(record["aia_urls"]) <= set(site.authority.certificates_by_url())


def test_approve_from_file(attest: Attest, site: Site) -> None:
    """What is missing is shown, written and used; the record is gone."""
    outcome = attest(
        "trust", "approve", site.sha256[:8], "--config", site.config, "--from", site.links
    )
    assert outcome.status == 0
    assert outcome.out.startswith("Path\n")
    anchor = site.authority.anchors[0]
    assert any(a.subject.rfc4514_string() in outcome.out for a in site.authority.anchors)
    assert outcome.out.endswith("its record is removed\n")
    written = site.files()
    assert written
    assert all(name in outcome.out for name in written)
    store = site.store()
    result = Verifier(store).verify(site.evidence.der, at=datetime.now(UTC))
    assert Origin.OPERATOR in result.path.origins
    assert anchor in {item.certificate for item in store.anchors}
    assert len(store.anchors) == len(TrustStore.bundled().anchors) + len(site.authority.anchors)
    assert json.loads(
        attest("trust", "pending", "--config", site.config, "--format", "json").out
    ) == {"pending": []}
    again = attest("trust", "approve", site.sha256, "--config", site.config)
    assert again.status == 2
    assert "no pending signer's SHA-256 begins with" in again.err


def test_approve_fetches(attest: Attest, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file, and with nothing in the evidence, the network is asked."""
    monkeypatch.setattr(issuers, "aia_source", lambda: Published(site.authority))
    spelled = ":".join(site.sha256[i : i + 2] for i in range(0, 64, 2)).upper()
    outcome = attest("trust", "approve", spelled, "--config", site.config)
    assert outcome.status == 0
    assert "fetched" in outcome.out
    Verifier(site.store()).verify(site.evidence.der, at=datetime.now(UTC))


def test_the_bag_of_the_evidence_is_looked_through(attest: Attest, site: Site) -> None:
    """A link that came with the evidence counts like any other candidate."""
    signed = site.authority.sign(extra_certificates=site.authority.intermediates)
    encoded = base64.b64encode(signed.der).decode()
    site.forget()
    error = IssuerUnknownError("as if the root had been unknown", site.authority.signer)
    site.with_quarantine(lambda quarantine: quarantine.record(error, encoded))
    assert attest("trust", "approve", site.sha256, "--config", site.config).status == 0
    Verifier(site.store()).verify(site.evidence.der, at=datetime.now(UTC))


def test_approve_refuses_without_a_path(
    attest: Attest, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An authority that nobody trusts: whatever it publishes, nothing is written."""
    stranger = FakeAuthority()
    site.record(stranger)
    monkeypatch.setattr(issuers, "aia_source", lambda: Published(stranger))
    links = site.links.with_name("stranger.pem")
    links.write_bytes(stranger.trust_pem())
    sha256 = fingerprint(stranger.signer)
    for arguments in ([], ["--from", links]):
        outcome = attest("trust", "approve", sha256, "--config", site.config, *arguments)
        assert outcome.status == 1
        assert outcome.out == ""
        assert outcome.err.startswith("attest: nothing is added: issuer_unknown: ")
        assert outcome.err.endswith(
            "; `attest trust add FILE` takes the CA's certificate from its maker\n"
        )
        assert outcome.err.count("\n") == 1
    assert site.files() == []
    assert (
        len(
            json.loads(attest("trust", "pending", "--config", site.config, "--format", "json").out)[
                "pending"
            ]
        )
        == 2
    )


@pytest.mark.parametrize("forged_first", [True, False])
def test_a_forged_signer_does_not_prevent_approval(
    attest: Attest, site: Site, forged_first: bool
) -> None:
    """Every specimen is tried: one of them is the real issuer's."""
    if forged_first:
        site.forget()
    forged = site.forge()
    if forged_first:
        site.record()
    first, newest = (forged, site.sha256) if forged_first else (site.sha256, forged)
    listed = attest("trust", "pending", "--config", site.config)
    assert f"newest     {newest}\n" in listed.out
    (record,) = json.loads(
        attest("trust", "pending", "--config", site.config, "--format", "json").out
    )["pending"]
    assert (record["signer_sha256"], record["newest_signer_sha256"]) == (first, newest)
    outcome = attest("trust", "approve", first, "--config", site.config, "--from", site.links)
    assert outcome.status == 0
    Verifier(site.store()).verify(site.evidence.der, at=datetime.now(UTC))
    assert attest("trust", "pending", "--config", site.config).out == "0 unknown issuers\n"


def test_forged_signers_alone_are_never_approved(attest: Attest, site: Site) -> None:
    """The issuer is real and its CA at hand, but it has issued none of them."""
    site.forget()
    first, _ = site.forge(), site.forge()
    outcome = attest("trust", "approve", first, "--config", site.config, "--from", site.links)
    assert outcome.status == 1
    assert outcome.err.startswith("attest: nothing is added: path_invalid: ")
    assert outcome.err.count("\n") == 1
    assert site.files() == []


def test_a_dismissed_forgery_does_not_silence_the_issuer(attest: Attest, site: Site) -> None:
    """The operator saw through it; the real issuer's evidence makes the record pending again."""
    site.forget()
    forged = site.forge()
    assert attest("trust", "dismiss", forged, "--config", site.config).status == 0
    site.record()
    assert site.sha256 in attest("trust", "pending", "--config", site.config).out
    outcome = attest("trust", "approve", site.sha256, "--config", site.config, "--from", site.links)
    assert outcome.status == 0


def test_approve_when_nothing_is_missing_any_more(attest: Attest, site: Site) -> None:
    """Somebody has added the link by other means: the record goes, no file comes."""
    assert attest("trust", "add", site.links, "--config", site.config).status == 0
    before = site.files()
    outcome = attest("trust", "approve", site.sha256, "--config", site.config)
    assert outcome.status == 0
    assert outcome.out.endswith("no link was missing any more\n")
    assert site.files() == before


@pytest.mark.parametrize("fingerprint_", ["0123456", "no-digits", "", "0" * 65])
def test_fingerprints_must_be_meant(attest: Attest, site: Site, fingerprint_: str) -> None:
    """Too short or no fingerprint at all: a usage error."""
    outcome = attest("trust", "approve", fingerprint_, "--config", site.config)
    assert outcome.status == 2
    assert "FINGERPRINT is 8 to 64 hexadecimal digits" in outcome.err


def test_dismiss(attest: Attest, site: Site) -> None:
    """Off the list, and not back with the same signer's next evidence."""
    outcome = attest("trust", "dismiss", site.sha256[:12], "--config", site.config)
    assert outcome.status == 0
    site.record()
    assert attest("trust", "pending", "--config", site.config).out == "0 unknown issuers\n"


def test_a_folder_is_needed(attest: Attest, site: Site) -> None:
    """Without trust_dirs, --dir says where."""
    lines = site.config.read_text().splitlines()
    site.config.write_text("\n".join(lines[:2]))
    arguments = ["trust", "approve", site.sha256, "--config", site.config, "--from", site.links]
    refused = attest(*arguments)
    assert refused.status == 2
    assert "set trust_dirs, or give --dir" in refused.err
    missing = attest(*arguments, "--dir", site.folder / "none")
    assert missing.status == 2
    assert "No such file or directory" in missing.err
    assert attest(*arguments, "--dir", site.folder).status == 0
    assert site.files()


def test_a_folder_that_the_service_does_not_read(
    attest: Attest, site: Site, tmp_path: Path
) -> None:
    """It is written to as asked, and the record stays: the service refuses as before."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    note = f"attest: note: {folder} is none of trust_dirs: the service does not read it\n"
    common = ["--config", site.config, "--dir"]
    approve = ["trust", "approve", site.sha256, "--from", site.links, *common]
    outcome = attest(*approve, folder)
    assert (outcome.status, outcome.err) == (0, note)
    assert outcome.out.endswith(": its record stays\n")
    assert list(folder.iterdir())
    assert site.sha256 in attest("trust", "pending", "--config", site.config).out
    outcome = attest("trust", "add", site.links, *common, folder)
    assert (outcome.status, outcome.err) == (0, note)
    spelled = site.folder / ".." / site.folder.name
    outcome = attest(*approve, spelled)
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.endswith(": its record is removed\n")
    assert attest("trust", "add", site.links, *common, spelled).err == ""


def test_add(attest: Attest, site: Site) -> None:
    """Links from a file; a second time there is nothing to do."""
    outcome = attest("trust", "add", site.links, "--config", site.config)
    assert outcome.status == 0
    assert outcome.out.count("Path\n") == len(site.authority.intermediates)
    Verifier(site.store()).verify(site.evidence.der, at=datetime.now(UTC))
    before = site.files()
    again = attest("trust", "add", site.links, "--config", site.config)
    assert again.status == 0
    assert again.out.endswith("Nothing is missing: the store has all of them\n")
    assert site.files() == before


def test_add_without_the_service(attest: Attest, tmp_path: Path) -> None:
    """With --dir the package's own anchors count, and no settings are read."""
    known = TrustStore.bundled().intermediates_for(Cloud.PUBLIC)
    link = max(known, key=lambda c: c.not_valid_after_utc)
    file = tmp_path / "link.der"
    file.write_bytes(link.public_bytes(Encoding.DER))
    outcome = attest("trust", "add", file, "--dir", tmp_path)
    assert outcome.status == 0
    assert outcome.out.endswith("Nothing is missing: the store has all of them\n")
    strange = tmp_path / "strange.pem"
    strange.write_bytes(pem_of(FakeAuthority().intermediates[0]))
    folder = tmp_path / "folder"
    folder.mkdir()
    refused = attest("trust", "add", strange, "--dir", folder)
    assert refused.status == 1
    assert "to a pinned anchor" in refused.err
    assert list(folder.iterdir()) == []


def test_add_refuses_the_whole(attest: Attest, site: Site) -> None:
    """One root or signer among good links: nothing is written."""
    good = site.links.read_bytes()
    for bad in (site.authority.anchors[0], site.authority.signer):
        site.links.write_bytes(good + pem_of(bad))
        outcome = attest("trust", "add", site.links, "--config", site.config)
        assert outcome.status == 1
        assert outcome.out == ""
        assert outcome.err.startswith("attest: nothing is added: ")
    assert site.files() == []
    unreadable = attest("trust", "add", site.config, "--config", site.config)
    assert unreadable.status == 2


def test_add_uses_what_the_folder_holds(attest: Attest, site: Site, tmp_path: Path) -> None:
    """An anchor of the operator's own, and links added one by one."""
    authority = FakeAuthority()
    anchors = site.folder / "anchors" / "public"
    anchors.mkdir(parents=True)
    (anchors / "root.pem").write_bytes(pem_of(*authority.anchors))
    upper, lower = authority.intermediates
    for link, status in ((lower, 1), (upper, 0), (lower, 0)):
        file = tmp_path / "link.pem"
        file.write_bytes(pem_of(link))
        assert attest("trust", "add", file, "--dir", site.folder).status == status
    store = read_operator_folders([site.folder], TrustStore.bundled())
    Verifier(store).verify(authority.sign().der, at=datetime.now(UTC))


def test_an_expired_signer_is_proven_for_its_document(attest: Attest, tmp_path: Path) -> None:
    """Its evidence lay in quarantine until the signer had ended."""
    past = Site(tmp_path, now=datetime.now(UTC) - 300 * DAY)
    assert past.authority.signer.not_valid_after_utc < datetime.now(UTC)
    past.record()
    arguments = ["--config", past.config, "--from", past.links]
    outcome = attest("trust", "approve", past.sha256, *arguments)
    assert outcome.status == 0
    assert past.files()
