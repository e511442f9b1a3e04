"""Django's back end for PostgreSQL, with attached connections: ``ENGINE`` of ``attach_database``."""
