"""Scenarios of the redis protocol."""
