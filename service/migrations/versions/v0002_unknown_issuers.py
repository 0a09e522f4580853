"""Quarantine: issuers that no pinned anchor is known to vouch for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "unknown_issuers",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("first_seen", sa.BigInteger, nullable=False),
        sa.Column("last_seen", sa.BigInteger, nullable=False),
        sa.Column("signer_sha256", sa.String(64), nullable=False),
        sa.Column("issuer", sa.String(512), nullable=False),
        sa.Column("signer_subject", sa.String(512), nullable=False),
        sa.Column("signer_names", sa.Text, nullable=False),
        sa.Column("aia_urls", sa.Text, nullable=False),
        sa.Column("signer_certificate", sa.Text, nullable=False),
        sa.Column("specimen", sa.Text, nullable=False),
        sa.Column("newest_sha256", sa.String(64)),
        sa.Column("newest_certificate", sa.Text),
        sa.Column("newest_specimen", sa.Text),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("unknown_issuers")
