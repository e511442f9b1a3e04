"""Scenarios of the s3 protocol."""
