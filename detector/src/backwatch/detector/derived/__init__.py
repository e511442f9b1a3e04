"""Derived facts of a call: columns that are computed from texts, numbers and errors."""
