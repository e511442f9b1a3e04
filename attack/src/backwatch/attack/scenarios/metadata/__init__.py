"""Scenarios of metadata."""
