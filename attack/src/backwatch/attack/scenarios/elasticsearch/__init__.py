"""Scenarios of elasticsearch."""
