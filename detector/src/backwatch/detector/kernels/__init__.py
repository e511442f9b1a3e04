"""Compilation and caching of kernels, and helpers that all kernels share."""
