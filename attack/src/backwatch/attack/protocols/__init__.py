"""Honest servers, one file per protocol. Scenarios make them hostile in a small subclass."""
