"""What the operator decides: environment variables ``ATTEST_*`` and a TOML file.

A key that nobody knows is an error, in the file and in the environment alike: a misspelt
``require_challenge`` must not leave its default in force.  The environment wins over the file.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from limits import parse_many
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from attest import AppraisalPolicy, Cloud, Plan, Revocation
from attest.hosts import HostRule
from service.cores import usable_cores

PREFIX = "ATTEST_"
# Variables of ours that are no settings of the service.
_OTHER_VARIABLES = frozenset({"ATTEST_CONFIG", "ATTEST_TEST_POSTGRES_URL"})
_BIND = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]/\s]+):(?P<port>[0-9]{1,5})")
_MAX_PORT = 65535
_SECRET_IN_URL = re.compile(r"(?<=://)([^/@]*:)[^/@]*(?=@)")


class SettingsError(Exception):
    """The service must not start like this; the message says why, in one line."""


class PlanSetting(BaseModel):
    """A marketplace plan; a part that is absent matches any value."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str | None = None
    product: str | None = None
    publisher: str | None = None

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not (self.name or self.product or self.publisher):
            raise ValueError("a plan must name at least one of name, product and publisher")
        return self

    def to_plan(self) -> Plan:
        """Return the core's plan."""
        return Plan(self.name, self.product, self.publisher)


def _default_data_dir() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "imds-attest"


Texts = Annotated[tuple[str, ...] | None, NoDecode]
Seconds = Annotated[int, Field(ge=0, le=86400)]


class Settings(BaseSettings):
    """Every setting, with its default.  Durations are in seconds, sizes in octets.

    Attributes:
        bind: address and port to listen on.
        workers: worker processes.
        pin_workers: keep each worker on one core, where there are as many for each core.
        threads: threads of each worker; a slow client holds one of them.
        graceful_timeout: how long a stopping worker may finish its requests.
        read_timeout: how long a client may take to send one request.
        tls_certificate: PEM file with the server's certificate chain, to serve HTTPS.
        tls_key: PEM file with its private key.
        data_dir: the folder of the SQLite database.
        database_url: SQLAlchemy's URL of the database; SQLite in data_dir where absent.
        require_challenge: refuse evidence without a nonce that this service issued.
        allow_caller_nonce: accept a nonce that the caller chose itself.
        challenge_format: ``hex32``, or ``digits10`` for attesters that keep to Azure's page.
        challenge_lifetime: how long a challenge can be used.
        clouds: the clouds whose signers are accepted.
        max_age: how long after its creation a document is accepted.
        skew: how far the clocks of Azure and of this machine may differ.
        allow_missing_timestamps: accept classic VMs' documents without times, given a nonce.
        subscriptions: the subscriptions accepted; absent: any, empty: none.
        vms: the VM ids accepted.
        plans: the marketplace plans accepted.
        skus: the image SKUs accepted.
        license_types: the licence types accepted.
        regions: the regions accepted.
        trust: a folder with manifest.json that replaces the pinned trust store.
        intermediates: PEM file or folder of further CA certificates; links, never anchors.
        trust_dirs: folders of further intermediates and, below ``anchors/CLOUD/``, anchors.
        trust_reload_seconds: how often each worker looks whether trust_dirs have changed.
        fetch_issuers: fetch CA certificates that are missing; never anchors.
        issuer_hosts: further hosts to fetch them from, as HOST or HOST/FOLDER/.
        crls: file or folder of CRLs, read again when it changes.
        fetch_crls: fetch CRLs from the certificates' distribution points, where no file of
            ``crls`` speaks for a certificate.
        revocation: ``off``, ``soft`` or ``hard``: what becomes of a certificate that no CRL
            speaks for; by default ``hard`` where ``crls`` is set, ``off`` otherwise.
        test_trust: PEM file with roots and intermediates of a fake authority. Tests only.
        max_body: the largest request body, but for batches.
        max_batch_body: the largest body of a batch.
        max_batch_items: the most items of a batch.
        rate_limit_enabled: apply the two limits.
        rate_limit_per_key: requests per API key.
        rate_limit_per_address: requests per client address.
        rate_limit_storage: ``memory://`` (each worker counts alone) or a Redis URL.
        trusted_proxies: how many proxies in front append to X-Forwarded-For.
        insecure_no_auth: answer anyone, on any address, while no API key exists.
        log_level: ``debug``, ``info``, ``warning`` or ``error``.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, validate_default=True
    )

    bind: str = "127.0.0.1:8080"
    workers: int = Field(default_factory=lambda: len(usable_cores()) or 1, ge=1, le=256)
    pin_workers: bool = True
    threads: int = Field(default=8, ge=1, le=256)
    graceful_timeout: int = Field(default=30, ge=1, le=3600)
    read_timeout: int = Field(default=10, ge=1, le=300)
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    data_dir: Path = Field(default_factory=_default_data_dir)
    database_url: str | None = Field(default=None, repr=False)
    require_challenge: bool = True
    allow_caller_nonce: bool = False
    challenge_format: Literal["hex32", "digits10"] = "hex32"
    challenge_lifetime: int = Field(default=120, ge=1, le=86400)
    clouds: Annotated[tuple[Cloud, ...], NoDecode] = (Cloud.PUBLIC, Cloud.USGOV, Cloud.CHINA)
    max_age: Seconds | None = 300
    skew: Seconds = 120
    allow_missing_timestamps: bool = False
    subscriptions: Texts = None
    vms: Annotated[tuple[UUID, ...] | None, NoDecode] = None
    plans: tuple[PlanSetting, ...] | None = None
    skus: Texts = None
    license_types: Texts = None
    regions: Texts = None
    trust: Path | None = None
    intermediates: Path | None = None
    trust_dirs: Annotated[tuple[Path, ...], NoDecode] = ()
    trust_reload_seconds: float = Field(default=15.0, ge=0.1, le=3600)
    crls: Path | None = None
    fetch_issuers: bool = True
    issuer_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    fetch_crls: bool = False
    revocation: Revocation | None = None
    test_trust: Path | None = None
    max_body: int = Field(default=256 * 1024, ge=1024)
    max_batch_body: int = Field(default=16 * 1024 * 1024, ge=1024)
    max_batch_items: int = Field(default=1000, ge=1, le=1000)
    rate_limit_enabled: bool = True
    rate_limit_per_key: str = "60000/minute"
    rate_limit_per_address: str = "60000/minute"
    rate_limit_storage: str = Field(default="memory://", repr=False)
    trusted_proxies: int = Field(default=0, ge=0, le=10)
    insecure_no_auth: bool = False
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic-settings' signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - likewise
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file, which comes as ``file_values``."""
        values = dict(getattr(init_settings, "init_kwargs", {}))
        file_values = values.pop("file_values", {})
        return (
            InitSettingsSource(settings_cls, values),
            env_settings,
            InitSettingsSource(settings_cls, file_values),
        )

    @field_validator(
        "clouds",
        "subscriptions",
        "vms",
        "skus",
        "license_types",
        "regions",
        "issuer_hosts",
        "trust_dirs",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        """Read the environment's form of a list: values with commas between them."""
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("bind")
    @classmethod
    def _is_address(cls, value: str) -> str:
        match = _BIND.fullmatch(value)
        if match is None or int(match["port"]) > _MAX_PORT:
            raise ValueError("not of the form ADDRESS:PORT, such as 127.0.0.1:8080")
        return value

    @field_validator("issuer_hosts")
    @classmethod
    def _are_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            HostRule.parse(text)
        return value

    @field_validator("database_url")
    @classmethod
    def _is_database(cls, value: str | None) -> str | None:
        if value is not None and _database(value).get_backend_name() not in _DRIVERS:
            raise ValueError("the database must be sqlite or postgresql")
        return value

    @field_validator("rate_limit_per_key", "rate_limit_per_address")
    @classmethod
    def _is_rate(cls, value: str) -> str:
        try:
            parse_many(value)
        except ValueError:
            raise ValueError("not a rate such as 100/minute") from None
        return value

    @field_validator("rate_limit_storage")
    @classmethod
    def _is_storage(cls, value: str) -> str:
        if value != "memory://" and not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("neither memory:// nor a Redis URL such as redis://127.0.0.1:6379")
        return value

    @field_validator("tls_certificate", "tls_key", "trust", "intermediates", "crls", "test_trust")
    @classmethod
    def _is_readable(cls, value: Path | None) -> Path | None:
        if value is not None and not os.access(value, os.R_OK):
            reason = "cannot be read" if value.exists() else "does not exist"
            raise ValueError(f"{value} {reason}")
        return value

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        # Whoever asks for one half of it must not believe that he has the whole.
        has_crls = self.crls is not None or self.fetch_crls
        if self.revocation not in {None, Revocation.OFF} and not has_crls:
            raise ValueError(f"revocation is {self.revocation}: set crls, or fetch_crls")
        if self.fetch_crls and self.effective_revocation is Revocation.OFF:
            raise ValueError("fetch_crls is for revocation soft or hard")
        return self

    @property
    def effective_revocation(self) -> Revocation:
        """How strictly revocation is checked."""
        if self.revocation is not None:
            return self.revocation
        return Revocation.OFF if self.crls is None else Revocation.HARD

    @property
    def host(self) -> str:
        """The address part of ``bind``, without brackets."""
        return self.bind.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port part of ``bind``."""
        return int(self.bind.rpartition(":")[2])

    @property
    def database(self) -> URL:
        """The database, with the driver that this service uses."""
        if self.database_url is None:
            return URL.create("sqlite", database=str(self.data_dir / "attest.db"))
        return _database(self.database_url)

    def policy(self) -> AppraisalPolicy:
        """Return the appraisal policy that these settings demand."""
        return AppraisalPolicy(
            clouds=self.clouds,
            max_age=None if self.max_age is None else timedelta(seconds=self.max_age),
            skew=timedelta(seconds=self.skew),
            require_nonce=self.require_challenge,
            allow_missing_timestamps=self.allow_missing_timestamps,
            subscriptions=self.subscriptions,
            vms=self.vms,
            plans=None if self.plans is None else [plan.to_plan() for plan in self.plans],
            skus=self.skus,
            license_types=self.license_types,
            regions=self.regions,
            revocation=self.effective_revocation,
        )

    def shown(self) -> dict[str, object]:
        """Return the settings as JSON values, with every secret masked."""
        values = self.model_dump(mode="json")
        values["database_url"] = self.database.render_as_string(hide_password=True)
        values["rate_limit_storage"] = _SECRET_IN_URL.sub(r"\1***", self.rate_limit_storage)
        return values


_DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}


def _database(text: str) -> URL:
    try:
        url = make_url(text)
        return url.set(drivername=_DRIVERS.get(url.get_backend_name(), url.drivername))
    except (ArgumentError, ValueError):
        raise ValueError("not a database URL such as postgresql://user@host/name") from None


def load_settings(config: Path | None = None, **overrides: Any) -> Settings:  # noqa: ANN401
    """Read the settings file and the environment.

    Args:
        config: the TOML file; by default the one that ``ATTEST_CONFIG`` names, if any.
        overrides: settings from the command line, which win; ``None`` is no override.

    Raises:
        SettingsError: the file cannot be read, a key is unknown, or a value cannot be meant.
    """
    named = os.environ.get("ATTEST_CONFIG")
    if config is None and named:
        config = Path(named)
    _refuse_unknown_variables(os.environ)
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given, file_values=_read(config))  # type: ignore[call-arg] # a source
    except ValidationError as error:
        raise SettingsError(_one_line(error)) from None


def _read(config: Path | None) -> dict[str, Any]:
    if config is None:
        return {}
    try:
        return tomllib.loads(config.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read {config}: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(f"{config} is not TOML: {error}") from None


def _refuse_unknown_variables(environ: Mapping[str, str]) -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields} | _OTHER_VARIABLES
    unknown = sorted(name for name in environ if name.startswith(PREFIX) and name not in known)
    if unknown:
        raise SettingsError(f"unknown environment variables: {', '.join(unknown)}")


def _one_line(error: ValidationError) -> str:
    problems = []
    for item in error.errors(include_url=False, include_input=False):
        name = ".".join(str(part) for part in item["loc"]) or "settings"
        message = item["msg"].removeprefix("Value error, ")
        problems.append(
            f"{name} is not a setting"
            if item["type"] == "extra_forbidden"
            else f"{name}: {message}"
        )
    return "; ".join(problems).replace("\n", " ")
