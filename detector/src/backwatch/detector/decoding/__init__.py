"""Decodes OTLP bytes into columns, one row per call."""
