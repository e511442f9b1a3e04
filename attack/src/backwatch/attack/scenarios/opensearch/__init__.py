"""Scenarios of opensearch."""
