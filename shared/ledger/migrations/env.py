"""What Alembic runs for every command: `shared.ledger.migrate` hands over the connection, its transaction begun."""

from alembic import context

from shared.ledger.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
