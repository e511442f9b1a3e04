"""Scenarios of the imap protocol."""
