"""Redaction of everything that is not SQL: one file per system, each a few pure functions from text to text.

A new system is one new file. Text that is not known to be harmless is left out: an unknown command keeps its name and
the number of its arguments, never an argument.
"""
