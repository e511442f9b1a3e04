"""Scenarios of the valkey protocol."""
