"""Honest and hostile statements of systems without SQL, for ``bench/nosql_quality.py``."""
