"""From OTLP bytes to columns, one row per call."""
