"""Models that are fitted from the store's rollups, and scoring of series."""
