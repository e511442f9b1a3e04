"""Scenarios of a quiet hour on real servers, for the machinery of ``backwatch attack quiet``; one file each."""
