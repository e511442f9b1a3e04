"""Fitting of models from the store's rollups, and scoring of series."""
