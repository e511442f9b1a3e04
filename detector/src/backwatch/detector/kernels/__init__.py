"""Compiled code: how a kernel is made and cached, and what all kernels share."""
