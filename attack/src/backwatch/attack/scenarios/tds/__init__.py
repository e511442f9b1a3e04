"""Scenarios of the tds protocol."""
