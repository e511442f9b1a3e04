"""The facts that make up a server's identity, and the suffix of what each one was before."""

from collections.abc import Mapping
from typing import Final

from backwatch.collector import names

WAS: Final = ".was"
"""Ends the name of what a fact was before."""
LIMITS: Final[Mapping[str, int]] = {
    names.CERT_SHA256: 64, names.CERT_ISSUER: 128, names.PEER_ADDRESS: 48, names.SERVER_VERSION: 96,
    names.SERVER_ID: 64, names.TOPOLOGY: 192, names.AUTH_METHOD: 32,
}  # fmt: skip
"""Facts of an identity, and the most bytes of each that are kept."""
