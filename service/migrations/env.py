"""Alembic's hook: run the migrations on the connection that :mod:`service.migrate` hands over."""

from __future__ import annotations

from alembic import context

from service.database import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
