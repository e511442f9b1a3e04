"""Scenarios of the postgresql protocol."""
