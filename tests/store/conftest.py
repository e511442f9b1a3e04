"""Fixtures of the tests of the store."""

from tests.services.stores import store, store_url

__all__ = ["store", "store_url"]
