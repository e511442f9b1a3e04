"""Canonical texts and fingerprints of statements, in compiled code."""
