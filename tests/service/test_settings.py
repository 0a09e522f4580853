"""Settings: what cannot be meant keeps the service from starting, in one line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from attest import Cloud
from attest.cli import main
from service.settings import SettingsError, load_settings

FILE = """
bind = "127.0.0.1:9000"
require_challenge = false
clouds = ["public", "usgov"]
max_age = 60
[[plans]]
publisher = "contoso"
product = "widget"
"""


def write(folder: Path, text: str) -> Path:
    """Write a settings file."""
    path = folder / "attest.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_file_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment wins over the file, the command line over both."""
    path = write(tmp_path, FILE)
    monkeypatch.setenv("ATTEST_MAX_AGE", "90")
    monkeypatch.setenv("ATTEST_SUBSCRIPTIONS", "a, b")
    monkeypatch.setenv("ATTEST_TRUST_DIRS", "/etc/attest/trust, /srv/trust")
    monkeypatch.setenv("ATTEST_CONFIG", str(path))
    settings = load_settings(bind="127.0.0.1:9001")
    assert settings.bind == "127.0.0.1:9001"
    assert settings.max_age == 90
    assert settings.clouds == (Cloud.PUBLIC, Cloud.USGOV)
    assert settings.subscriptions == ("a", "b")
    assert settings.trust_dirs == (Path("/etc/attest/trust"), Path("/srv/trust"))
    policy = settings.policy()
    assert policy.plans is not None
    assert [plan.publisher for plan in policy.plans] == ["contoso"]
    assert policy.require_nonce is False


def test_defaults() -> None:
    """The safe choices."""
    settings = load_settings()
    assert settings.require_challenge
    assert not settings.allow_caller_nonce
    assert settings.bind.startswith("127.0.0.1:")
    assert (settings.max_age, settings.skew, settings.challenge_lifetime) == (300, 120, 120)
    assert settings.database.get_backend_name() == "sqlite"
    assert Cloud.GERMANY not in settings.clouds


WRONG = [
    ("requre_challenge = false", "requre_challenge is not a setting"),
    ("[policy]\nmax_age = 1", "policy is not a setting"),
    ('bind = "localhost"', "bind: not of the form ADDRESS:PORT"),
    ('bind = "127.0.0.1:70000"', "bind: "),
    ('database_url = "mysql://u:pw@h/d"', "database_url: the database must be sqlite or"),
    ('database_url = "postgres"', "database_url: not a database URL"),
    ('rate_limit_storage = "http://x"', "rate_limit_storage: "),
    ('rate_limit_per_key = "often"', "rate_limit_per_key: not a rate"),
    ('clouds = ["mars"]', "clouds.0: "),
    ("max_age = -1", "max_age: "),
    ("workers = 0", "workers: "),
    ('vms = ["x"]', "vms.0: "),
    ("[[plans]]\n", "plans.0: a plan must name"),
    ('[[plans]]\npublsher = "x"', "plans.0.publsher is not a setting"),
    ('tls_key = "/nonexistent"', "tls_key: /nonexistent does not exist"),
    ('tls_key = "/dev/null"', "tls_certificate and tls_key go together"),
    ('test_trust = "/nonexistent.pem"', "test_trust: "),
    ('test_trust = "/dev/null"', "the trust store cannot be loaded"),
    ('intermediates = "/dev/null"', "the trust store cannot be loaded"),
    (
        'trust_dirs = ["/nonexistent"]',
        "the trust store cannot be loaded: '/nonexistent': cannot be",
    ),
    ('trust_dirs = ["/dev/null"]', "the trust store cannot be loaded: '/dev/null': cannot be"),
    ("trust_reload_seconds = 0", "trust_reload_seconds: "),
    ("a = ", "is not TOML"),
    ('challenge_format = "uuid"', "challenge_format: "),
]


@pytest.mark.parametrize(("text", "why"), WRONG, ids=lambda value: value[:40])
def test_wrong_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, why: str
) -> None:
    """``attest serve`` and ``attest serve --check`` exit with 2 and say why in one line."""
    path = write(tmp_path, text)
    for more in ((), ("--check",)):
        with pytest.raises(SystemExit) as stopped:
            main(["serve", "--config", str(path), *more])
        assert stopped.value.code == 2
        err = capsys.readouterr().err
        assert err.startswith("attest: ")
        assert err.count("\n") == 1
        assert why in err
        assert "pw" not in err


def test_unreadable_settings_file(tmp_path: Path) -> None:
    """A file that is not there, and one that is a folder."""
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(SettingsError, match="cannot read"):
            load_settings(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_unreadable_key(tmp_path: Path) -> None:
    """A TLS key that may not be read."""
    key = tmp_path / "key.pem"
    key.write_text("secret")
    key.chmod(0)
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(tls_key=key)


def test_unknown_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt variable is no silent default."""
    monkeypatch.setenv("ATTEST_REQUIRE_CHALENGE", "true")
    with pytest.raises(SettingsError, match="ATTEST_REQUIRE_CHALENGE"):
        load_settings()


def test_secrets_are_masked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--check`` prints the settings in force without passwords; so does repr()."""
    monkeypatch.setenv("ATTEST_DATABASE_URL", "postgresql://attest:hunter2@db/attest")
    monkeypatch.setenv("ATTEST_RATE_LIMIT_STORAGE", "redis://:hunter2@redis:6379/0")
    with pytest.raises(SystemExit) as stopped:
        main(["serve", "--check"])
    assert stopped.value.code == 0
    out = capsys.readouterr().out
    shown = json.loads(out)
    assert shown["database_url"] == "postgresql+psycopg://attest:***@db/attest"
    assert shown["rate_limit_storage"] == "redis://:***@redis:6379/0"
    assert "hunter2" not in out + repr(load_settings())


def test_database_away(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that need the database say that it is away, without the password."""
    monkeypatch.setenv("ATTEST_DATABASE_URL", "postgresql://attest:hunter2@127.0.0.1:1/attest")
    for command in (["serve"], ["db", "upgrade"], ["keys", "list"]):
        with pytest.raises(SystemExit) as stopped:
            main(command)
        assert stopped.value.code == 2
        err = capsys.readouterr().err
        assert "the database does not answer" in err
        assert err.count("\n") == 1
        assert "hunter2" not in err


def test_newer_schema(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database of a newer version is left alone."""
    import sqlite3  # noqa: PLC0415 - only here

    monkeypatch.setenv("ATTEST_DATABASE_URL", f"sqlite:///{tmp_path}/a.db")
    for expected in ("upgraded from nothing", "was current"):
        with pytest.raises(SystemExit):
            main(["db", "upgrade"])
        assert expected in capsys.readouterr().out
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(SystemExit) as stopped:
        main(["serve"])
    assert stopped.value.code == 2
    assert "made by a newer version" in capsys.readouterr().err


def test_keys_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Make, list and revoke a key."""
    monkeypatch.setenv("ATTEST_DATABASE_URL", f"sqlite:///{tmp_path}/new folder/a.db")

    def run(*arguments: str) -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as stopped:
            main(["keys", *arguments])
        return stopped.value.code, *capsys.readouterr()

    status, key, _ = run("new", "backend", "--scope", "verify,challenge")
    assert status == 0
    assert key.startswith("attest_")
    assert len(key.splitlines()) == 1
    assert run("list")[1] == "backend  challenge,verify  last used never\n"
    (listed,) = json.loads(run("list", "--format", "json")[1])["keys"]
    assert listed["scopes"] == ["challenge", "verify"]
    assert "secret_sha256" not in listed
    assert run("new", "other", "--scope", "root")[0] == 2
    assert run("new", "backend", "--scope", "verify")[2].startswith("attest: there is a key named")
    assert run("revoke", "backend")[1] == "backend is revoked\n"
    assert run("revoke", "backend")[0] == 2
    assert run("list")[1] == "backend  challenge,verify  revoked\n"
