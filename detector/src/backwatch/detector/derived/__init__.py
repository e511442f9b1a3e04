"""Derived facts: columns that are computed from texts, numbers and errors."""
