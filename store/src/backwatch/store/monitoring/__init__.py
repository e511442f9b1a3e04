"""Backwatch watches itself: what is wrong with the chain, and how each process reports it over HTTP."""
