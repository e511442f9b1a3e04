"""Failures of the store that pass: it is away, or its disk is full. The same transaction can be tried again."""


class StoreUnavailable(ConnectionError):
    """The store does not answer. The message names the setting and the address, never a secret."""


class StoreFull(OSError):
    """The store's disk is full: nothing of the transaction was kept, and nothing before it was lost."""
