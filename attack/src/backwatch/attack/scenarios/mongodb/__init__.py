"""Scenarios of the mongodb protocol."""
