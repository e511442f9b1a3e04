"""The quiet year: ordinary weeks and months of apps, on simulated time, in memory, without servers.

A scenario is one file in ``scenarios/``. It schedules the calls of each hour; the collector's encoder writes them, and
the shipped engine judges them as a detector does live.
"""
