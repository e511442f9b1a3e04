"""Attacks on clients of a cask."""
