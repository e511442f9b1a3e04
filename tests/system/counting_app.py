"""An app that makes numbered calls until it is asked to end: ``python -m tests.system.counting_app PER_SECOND``.

It prints the number of its calls, its connect and its first statement among them, when its standard input ends.
"""

import select
import sqlite3
import sys
import time


def main() -> None:
    """Make calls, and print their number."""
    pause_s = 1 / float(sys.argv[1])
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE counted (number INTEGER)")
    made = 2
    while not select.select([0], [], [], 0)[0]:
        connection.execute("UPDATE counted SET number = 1")  # no rows: a fetch would be a call of its own
        made += 1
        time.sleep(pause_s)
    print(made, flush=True)


if __name__ == "__main__":
    main()
