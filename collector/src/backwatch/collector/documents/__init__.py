"""Queries that are no SQL: reading third-party texts of them, and signs of injected operators and code."""
