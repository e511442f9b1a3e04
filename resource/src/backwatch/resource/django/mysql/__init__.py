"""Django's back end for MySQL, with attached connections: ``ENGINE`` of ``attach_database``."""
