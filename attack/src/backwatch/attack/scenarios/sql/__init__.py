"""Attacks through and on databases, each on clients of several protocols."""
