"""Hostile services on loopback, a quiet app and the demo. Never installed in production."""
