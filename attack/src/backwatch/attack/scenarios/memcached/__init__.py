"""Scenarios of the memcached protocol."""
