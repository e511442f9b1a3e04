"""Fits the weights that judge statements, on labelled statement streams."""
