"""Profiles: documents in which operators declare the expected identities of an app."""
