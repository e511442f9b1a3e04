"""PostgreSQL: libpq."""
