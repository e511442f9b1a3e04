"""Scenarios of the http protocol."""
