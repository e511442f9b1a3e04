"""The service that decides."""
