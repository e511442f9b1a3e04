"""Columns of decoded calls: keyed hashes, fingerprints, addresses, and the texts of keys."""
