"""Sigma rules: parse, compile, index, evaluate, and the shipped documents."""
