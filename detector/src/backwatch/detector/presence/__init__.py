"""Presence of an app's processes: heartbeats, replacements, and which are missing."""
