"""The TLS mode that a context requests. ``ssl`` is not imported: numbers stand for its constants."""

from typing import Any


def requested_mode(context: Any) -> str:
    """Return ``require``, ``verify-ca`` or ``verify-full``; without a context the standard library verifies nothing."""
    if context is None or not getattr(context, "verify_mode", 0):
        return "require"
    return "verify-full" if getattr(context, "check_hostname", False) else "verify-ca"
