"""The TLS mode that an app requests, and what a handshake under it has verified.

``ssl`` is not imported: numbers stand for its constants.
"""

from typing import Any, Final

VERIFICATIONS: Final = {"require": "none", "verify-ca": "chain", "verify-full": "full"}
"""What an established session has verified, by the requested mode, where the driver never accepts less."""


def mode_of(*, verifies: object, checks_name: object) -> str:
    """Return the mode by whether the certificate's chain is verified, and its name compared with the host's."""
    return "require" if not verifies else "verify-full" if checks_name else "verify-ca"


def requested_mode(context: Any) -> str:
    """Return ``require``, ``verify-ca`` or ``verify-full``; without a context the standard library verifies nothing."""
    return mode_of(verifies=getattr(context, "verify_mode", 0), checks_name=getattr(context, "check_hostname", False))
