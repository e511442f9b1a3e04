"""What makes two calls the same statement: one lexical spec, read here by ``re`` and in the detector by Numba.

Standard library only. ``spec.py`` is data; ``tokens.py`` cuts a text into tokens; ``writer.py`` writes them anew as
``canonical.py`` asks; ``signs.py`` names what the raw form showed; ``scan.py`` is the one entry for probes.
"""
