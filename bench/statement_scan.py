"""Cost of redacting a statement and naming its signs, against the keyed hash of its text (BLAKE2b).

    make bench NAME=statement_scan                 ARGS="--rounds 30"

Per statement: the same text again (``cached``), a new text that differs in its literals (``skeleton``), a new
statement (``new``), a usual Redis command; and the longest time for 64 KiB of a hostile shape, in milliseconds.
"""

import argparse
import hashlib
import itertools
import json
import time
from collections.abc import Callable

from backwatch.collector.redaction import redis
from backwatch.collector.statements import scan, spec
from bench import rounds
from tests.collector.statements.hostile import shapes

STATEMENT = "SELECT i.id, i.{} FROM (SELECT 7 AS id, 'pen' AS name) AS i WHERE i.id = {} AND i.name = 'pen' LIMIT 20"
KEY = b"k" * 32
COMMANDS = (["GET", "session:8f2c"], ["SET", "session:8f2c", "secret", "EX", 60], ["HSET", "user:7", "name", "ann"])
CALLS = 1_000


def _hash(text: str) -> object:
    return hashlib.blake2b(text.encode(), key=KEY).digest()


def _us(work: Callable[[str], object], texts: list[str]) -> float:
    begun = time.thread_time()
    for text in texts:
        work(text)
    return (time.thread_time() - begun) / len(texts) * 1e6


def measure(dialect: str, count: int) -> dict[str, list[float]]:
    """Return microseconds per statement in each round."""
    numbers = itertools.count(10_000)
    found: dict[str, list[float]] = {"yardstick": [], "cached": [], "skeleton": [], "new": [], "redis": []}

    def cached(text: str) -> object:
        return scan.scan_cached(text, dialect)

    for _ in range(count):
        same = [STATEMENT.format("name", 5)] * CALLS
        other = [STATEMENT.format("name", next(numbers)) for _ in range(CALLS)]
        cached(same[0])
        found["yardstick"].append(_us(_hash, other))
        found["cached"].append(_us(cached, same))
        found["skeleton"].append(_us(cached, other))
        found["new"].append(_us(cached, [STATEMENT.format(f"n{next(numbers)}", 5) for _ in range(CALLS // 10)]))
        begun = time.thread_time()
        for _ in range(CALLS // len(COMMANDS)):
            for command in COMMANDS:
                redis.to_statement(command)
        found["redis"].append((time.thread_time() - begun) / (CALLS // len(COMMANDS) * len(COMMANDS)) * 1e6)
    return found


def worst_ms(dialect: str) -> tuple[float, str]:
    """Return the slowest hostile shape of 64 KiB, the best of three tries each."""
    worst = (0.0, "")
    for name, text in shapes(dialect).items():
        spent: list[float] = []
        for _ in range(3):
            begun = time.thread_time()
            scan.scan(text, dialect)
            spent.append(time.thread_time() - begun)
        worst = max(worst, (min(spent) * 1e3, name))
    return worst


def main() -> None:
    """Run the bench and print; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    print(rounds.machine("backwatch-collector"))
    result: dict[str, dict[str, float]] = {}
    for dialect in spec.DIALECTS:
        found = measure(dialect, options.rounds)
        longest, name = worst_ms(dialect)
        result[dialect] = {f"{figure}_us": round(min(spent), 2) for figure, spent in found.items()}
        result[dialect] |= {
            f"{figure}_vs_hash": round(rounds.ratio(spent, found["yardstick"]), 2)
            for figure, spent in found.items()
            if figure != "yardstick"
        }
        result[dialect]["hostile_ms"] = round(longest, 1)
        shown = ", ".join(f"{figure} {min(spent):.2f} us" for figure, spent in found.items())
        print(f"{dialect:10} {shown}; 64 KiB of {name!r}: {longest:.1f} ms", flush=True)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
