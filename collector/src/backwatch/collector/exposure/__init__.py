"""Exposure: which kinds of sensitive data a resource holds, receives or sends, by names of columns and by values.

Only the names of kinds leave this folder, words of ``names.DATA_KINDS``: never a value, its hash or its length.
Standard library only. Values are read where they are exactly ``str``, ``bytes`` or ``int``; no method of an app's
object runs. Work per inspection is bounded, and so is its share of the app's time (``sampling.py``).
"""
