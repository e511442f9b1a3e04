"""Profiles: what is known to be good for an app, as a document that people write, read and review."""
