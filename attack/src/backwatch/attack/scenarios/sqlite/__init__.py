"""Scenarios of the sqlite protocol."""
