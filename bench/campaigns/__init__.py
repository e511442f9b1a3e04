"""Labelled statement streams of an app of this bench: honest work, sqlmap runs, injections written by hand.

    python -m bench.campaigns --out DIR [--dialects postgres,mysql,sqlite] [--sqlmap PATH]

The app lends books. It runs against live PostgreSQL, MariaDB and SQLite, and interpolates half of its statements. Each
record holds what the database got and what it answered. Nothing here imports the detector: its statistics must not
shape the data that measures them.
"""
