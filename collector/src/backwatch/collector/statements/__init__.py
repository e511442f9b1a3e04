"""Statements: redaction, canonical text and injection signs, by one lexical spec that the detector reads with Numba.

Standard library only. ``spec.py`` is data; ``tokens.py`` splits a text into tokens; ``writer.py`` writes them again as
``canonical.py`` asks; ``signs.py`` finds injection signs in the raw text; ``scan.py`` is the entry point for probes.
"""
