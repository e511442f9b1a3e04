"""Parsers of settings, and the environment as the process began with it."""
