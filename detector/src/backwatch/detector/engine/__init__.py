"""The pure heart: no I/O, no wall clock, no randomness."""
