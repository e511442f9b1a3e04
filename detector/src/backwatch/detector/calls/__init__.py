"""From OTLP bytes to columns, and from a statement to its fingerprint."""
