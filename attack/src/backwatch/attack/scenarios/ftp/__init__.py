"""Scenarios of the ftp protocol."""
