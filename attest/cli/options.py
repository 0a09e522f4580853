"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, BinaryIO, TypeVar

import click
from cryptography import x509

from attest.certificates import read_certificate_files, read_crl_files
from attest.cli.issuers import fetch_issuers_option
from attest.clouds import DEFAULT_CLOUDS, Cloud
from attest.errors import TrustStoreError
from attest.evidence import MAX_TEXT
from attest.path import IssuerSource
from attest.policy import MAX_SKEW, AppraisalPolicy, Revocation
from attest.times import in_utc
from attest.trust import TrustStore
from attest.verifier import Verifier

_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T")

_MAX_SECONDS = 10**9  # some 31 years, where no other limit is known


class InputFile(click.File):
    """A file to read, or standard input for ``-``, which may be closed."""

    def convert(
        self,
        value: str | os.PathLike[str] | IO[Any],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> IO[Any]:
        """Open the file.

        Raises:
            click.BadParameter: it cannot be opened.
        """
        if value == "-" and sys.stdin is None:
            self.fail("standard input is closed", param, ctx)
        return super().convert(value, param, ctx)


def parse_time(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> datetime | None:
    """Parse a point in time with a UTC offset (RFC 3339); ``None`` stays ``None``."""
    if value is None:
        return None
    try:
        return in_utc(datetime.fromisoformat(value))
    except ValueError:
        msg = f"{value!r} is not a time such as 2026-06-25T18:57:45Z"
        raise click.BadParameter(msg) from None


def or_now(at: datetime | None) -> datetime:
    """Return the time asked for, by default now.

    Call it when the input has been read: that may take until after a document was signed.
    """
    return datetime.now(UTC) if at is None else at


def at_option(function: _F) -> _F:
    """Add ``--at``; ``None`` stands for now, once all input is read."""
    return click.option(
        "--at",
        metavar="RFC3339",
        callback=parse_time,
        help="The time that counts, such as 2026-06-25T18:57:45Z.  [default: now]",
    )(function)


def format_option(function: _F) -> _F:
    """Add ``--format``."""
    return click.option(
        "--format",
        "output",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="What to print on standard output.",
    )(function)


def cloud_option(what: str, default: str = "every cloud but germany") -> Callable[[_F], _F]:
    """Return what adds ``--cloud``, which may be repeated; ``what`` says what it does."""
    return click.option(
        "--cloud",
        "clouds",
        type=click.Choice([str(cloud) for cloud in Cloud]),
        multiple=True,
        help=f"{what} this cloud only; may be repeated.  [default: {default}]",
    )


def trust_option(function: _F) -> _F:
    """Add ``--trust``."""
    return click.option(
        "--trust",
        "trust_path",
        type=click.Path(path_type=Path),
        help="Trust this PEM file or folder INSTEAD OF the pinned store: self-signed "
        "certificates as anchors, the others as intermediates.",
    )(function)


def crl_option(function: _F) -> _F:
    """Add ``--crl``."""
    return click.option(
        "--crl",
        "crl_path",
        type=click.Path(path_type=Path),
        help="CRLs (PEM, DER, folder): every certificate below the anchor then needs one.",
    )(function)


def revocation_option(function: _F) -> _F:
    """Add ``--revocation``."""
    return click.option(
        "--revocation",
        type=click.Choice([str(Revocation.SOFT), str(Revocation.HARD)]),
        help="With --crl: what to do with a certificate that no CRL speaks for, to let it pass "
        "(soft) or to refuse it (hard).  [default: hard]",
    )(function)


def chosen_revocation(revocation: str | None, crl_path: Path | None) -> Revocation:
    """Return how strictly revocation is checked.

    Raises:
        click.UsageError: it is asked for without CRLs, and nothing would be checked.
    """
    if revocation is not None and crl_path is None:
        raise click.UsageError("--revocation needs --crl")
    return Revocation.HARD if revocation is None else Revocation(revocation)


@dataclass(frozen=True, slots=True)
class EvidenceRequest:
    """What ``verify`` and ``inspect`` are asked, with every file read.

    Attributes:
        evidence: the contents of FILE, as :meth:`attest.Verifier.verify` takes them.
        verifier: the verifier with the chosen store and policy.
        at: the time of verification.
        demands: the keyword arguments for the verifier.
        trust_path: the operator's own store, where one replaces the pinned one.
        output: ``text`` or ``json``.
    """

    evidence: str | bytes
    verifier: Verifier
    at: datetime
    demands: dict[str, Any]
    trust_path: Path | None
    output: str


def evidence_command(function: Callable[[EvidenceRequest], int]) -> click.Command:
    """Make a command of a function that answers an :class:`EvidenceRequest`."""

    @functools.wraps(function)
    def run(**values: Any) -> int:  # noqa: ANN401 - click's values, one type an option
        return function(_read_request(**values))

    run.__doc__ = function.__doc__
    for option in reversed(_EVIDENCE_OPTIONS):
        run = option(run)
    return click.command()(run)


_EVIDENCE_OPTIONS: list[Callable[[Any], Any]] = [
    click.argument("file", type=InputFile("rb"), default="-"),
    click.option("--nonce", help="The nonce that the VM was given; refuse any other."),
    at_option,
    cloud_option("Accept signers of"),
    click.option(
        "--max-age",
        type=click.IntRange(0, _MAX_SECONDS),
        metavar="SECONDS",
        help="Refuse a document created longer ago than this.",
    ),
    click.option(
        "--skew",
        type=click.IntRange(0, int(MAX_SKEW.total_seconds())),
        metavar="SECONDS",
        default=0,
        show_default=True,
        help="How far the clocks of Azure and of this machine may differ.",
    ),
    click.option(
        "--subscription",
        "subscriptions",
        metavar="ID",
        multiple=True,
        help="Accept this subscription only; may be repeated.",
    ),
    trust_option,
    click.option(
        "--intermediates",
        "intermediates_path",
        type=click.Path(path_type=Path),
        help="More CA certificates that may link the signer to an anchor (PEM, DER, folder).",
    ),
    fetch_issuers_option,
    crl_option,
    revocation_option,
    format_option,
]


def _read_request(  # noqa: PLR0913 - one parameter an option
    *,
    file: BinaryIO,
    at: datetime | None,
    nonce: str | None,
    clouds: tuple[str, ...],
    max_age: int | None,
    skew: int,
    subscriptions: tuple[str, ...],
    trust_path: Path | None,
    intermediates_path: Path | None,
    issuers: IssuerSource | None,
    crl_path: Path | None,
    revocation: str | None,
    output: str,
) -> EvidenceRequest:
    policy = AppraisalPolicy(
        clouds=chosen_clouds(clouds),
        max_age=None if max_age is None else timedelta(seconds=max_age),
        skew=timedelta(seconds=skew),
        subscriptions=subscriptions or None,
        revocation=chosen_revocation(revocation, crl_path),
    )
    evidence = read_evidence(file)
    return EvidenceRequest(
        evidence=evidence,
        verifier=Verifier(read_store(trust_path, clouds), policy, issuers=issuers),
        at=or_now(at),
        demands={
            "nonce": nonce,
            "intermediates": read_certificates(intermediates_path),
            "crls": read_crls(crl_path),
        },
        trust_path=trust_path,
        output=output,
    )


def read_evidence(stream: BinaryIO) -> str | bytes:
    """Read evidence: DER as bytes, anything else as text, and no more than could be evidence.

    Raises:
        click.ClickException: the stream cannot be read.
    """
    try:
        data = stream.read(MAX_TEXT + 1)
    except OSError as error:
        raise click.ClickException(f"cannot read {stream.name}: {error.strerror}") from None
    if data[:1] == b"\x30":  # a SEQUENCE; no base64 of one starts with this character
        return data
    try:
        return data.decode("ascii")
    except UnicodeDecodeError:
        return data


def read_store(trust_path: Path | None, clouds: tuple[str, ...]) -> TrustStore:
    """Load the pinned store, or the operator's where one is named.

    Raises:
        click.ClickException: it cannot be loaded.
    """
    try:
        if trust_path is None:
            return TrustStore.bundled()
        return TrustStore.from_pem(trust_path, clouds=chosen_clouds(clouds))
    except TrustStoreError as error:
        where = "the pinned trust store" if trust_path is None else "--trust"
        raise click.ClickException(f"{where} cannot be loaded: {error}") from None


def trust_note(trust_path: Path | None) -> dict[str, object]:
    """Return what JSON output says where the pinned store was replaced."""
    return {} if trust_path is None else {"trust": str(trust_path)}


def trust_warning(trust_path: Path) -> str:
    """Return what text output says where the pinned store was replaced."""
    return f"Trusting {trust_path} INSTEAD OF the pinned store: this proves nothing about Azure"


def chosen_clouds(clouds: tuple[str, ...]) -> frozenset[Cloud]:
    """Return the clouds asked for, or the default ones."""
    return frozenset(Cloud(cloud) for cloud in clouds) or DEFAULT_CLOUDS


def read_certificates(path: Path | None) -> list[x509.Certificate]:
    """Read the certificates of a file or folder.

    Raises:
        click.ClickException: a file cannot be read.
    """
    return [] if path is None else _read(path, read_certificate_files)


def read_crls(path: Path | None) -> list[x509.CertificateRevocationList] | None:
    """Read the CRLs of a file or folder; a path that holds none is an error, not "no CRLs".

    Raises:
        click.ClickException: a file cannot be read, or there is none.
    """
    return None if path is None else _read(path, read_crl_files)


def _read(path: Path, read: Callable[[Path], list[_T]]) -> list[_T]:
    try:
        return read(path)
    except OSError as error:
        raise click.ClickException(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise click.ClickException(f"cannot read {error}") from None
