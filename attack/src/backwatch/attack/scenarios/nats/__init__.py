"""Scenarios of the nats protocol."""
