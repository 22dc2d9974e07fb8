"""Alembic's entry point: runs the migrations on the connection, inside the transaction, that the ledger gives."""

from alembic import context

from fieldcast.ledger.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
