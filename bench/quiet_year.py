"""Alerts above informational in months of ordinary life, on simulated time.

    make bench NAME=quiet_year                     ARGS="--scenario month-end --json"

The same as ``backwatch attack quiet --year``.
"""

import sys

from backwatch.attack.attack_command import attack


def main() -> None:
    """Run the scenarios; the exit code is 1 if there was any alert."""
    attack(["quiet", "--year", *sys.argv[1:]])


if __name__ == "__main__":
    main()
