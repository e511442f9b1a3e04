"""Scenarios of the kafka protocol."""
