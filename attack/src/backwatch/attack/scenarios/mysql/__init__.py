"""Scenarios of the mysql protocol."""
