"""Scenarios of the pop3 protocol."""
