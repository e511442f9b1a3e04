"""PostgreSQL: libpq, sessions, logins, errors and connection state that its three drivers share."""
