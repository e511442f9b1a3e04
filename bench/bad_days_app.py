"""The app of ``bench.bad_days``: PyMySQL over TLS with steady calls.

``python -m bench.bad_days_app URL`` answers each line ``N short`` or ``N long`` on standard input with the CPU seconds,
of all threads, that N calls took, and with the most memory that the process ever held, in kB. When its input ends it
prints the time and ends.
"""

import itertools
import sys
import time
from pathlib import Path

from bench.overhead_app import STATEMENT, pymysql_cursor

REST_S = 0.3
"""After each lot: what is recorded is delivered meanwhile if it can be; tries of a stream that is away count too."""
NAME = "a_column_with_a_long_name_" * 7


def peak_kb() -> int:
    """Return the most memory that this process ever held."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1])


def long_statement(number: int) -> str:
    """Return about 800 characters, of which no two texts are the same, even after redaction."""
    return f"SELECT 1 FROM (SELECT {', '.join(f'{at} AS {NAME}{number}_{at}' for at in range(4))}) AS t"


def main() -> None:
    """Connect, report it, and answer until standard input ends."""
    cursor = pymysql_cursor(sys.argv[1])
    numbers = itertools.count()
    print("ready", flush=True)
    for line in sys.stdin:
        count, length = line.split()
        begun = time.process_time()
        for _ in range(int(count)):
            cursor.execute(long_statement(next(numbers)) if length == "long" else STATEMENT.format(7))
            cursor.fetchall()
        time.sleep(REST_S)
        print(time.process_time() - begun, peak_kb(), flush=True)
    print(time.time(), flush=True)


if __name__ == "__main__":
    main()
