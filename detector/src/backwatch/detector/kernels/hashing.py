"""Joining 64-bit hashes inside kernels."""

import numpy as np

from backwatch.detector.kernels.compiled import kernel


@kernel
def mix(a: np.uint64, b: np.uint64) -> np.uint64:
    """Combine two 64-bit values (the finaliser of MurmurHash3)."""
    h = a ^ (b * np.uint64(0x9E3779B97F4A7C15))
    h ^= h >> np.uint64(33)
    h *= np.uint64(0xFF51AFD7ED558CCD)
    h ^= h >> np.uint64(33)
    h *= np.uint64(0xC4CEB9FE1A85EC53)
    h ^= h >> np.uint64(33)
    return h | np.uint64(1)
