"""Delivers alerts to the world outside."""
