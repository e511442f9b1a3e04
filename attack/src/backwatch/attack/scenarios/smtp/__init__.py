"""Scenarios of the smtp protocol."""
