"""Recognition of sensitive data: precision and recall by format, and its cost for a call of the app.

    make bench NAME=exposure                 ARGS="--columns 20"

Values are made by a program of its own (``tests/collector/exposure/labelled_values.py``) and read in columns of twelve
under a name that shows nothing; ``of_single_values`` is for each by itself. The cost is that of all calls of a
statement, read or not, as a ratio to a yardstick of the same run: one query of sqlite3 in memory, with its rows.
``worst`` is the longest that one call took.
"""

import argparse
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from backwatch.collector import names
from backwatch.collector.exposure import observation
from backwatch.collector.exposure.mode import set_mode
from backwatch.collector.exposure.rows import parameter_facts, reads_rows, row_facts
from backwatch.collector.exposure.tally import Tally
from tests.collector.exposure.labelled_values import KINDS, labelled_columns

STATEMENTS = [f"SELECT a, b, c, d FROM t{number} WHERE a = ?" for number in range(50)]
COLUMNS = ["a", "b", "c", "d"]


def kinds_of(values: list[object]) -> set[str]:
    """Return the kinds that are found in one column."""
    tally = Tally()
    for value in values:
        tally.add_value("c1", value)
    return {kind for at, kind in enumerate(names.DATA_KINDS) if tally.kinds >> at & 1}


def measure_quality(columns: int, seed: int) -> dict[str, Any]:
    """Return precision and recall of each format and of all, and what was taken for what."""
    values, found, wrong = Counter[str](), Counter[str](), Counter[str]()
    alone, wrong_alone = 0, 0
    for column in labelled_columns(seed, columns):
        for value in column.values:
            kinds = kinds_of([value])
            alone += column.kind in kinds
            wrong_alone += len(kinds - {column.kind})
        kinds, count = kinds_of(column.values), len(column.values)
        values[column.format] += count
        found[column.format] += count if column.kind in kinds else 0
        for kind in kinds - {column.kind}:
            wrong[f"{column.format} as {kind}"] += count
    positive = sum(values[name] for name in KINDS)
    return {
        "values": positive, "near_misses": values.total() - positive,
        "recall": round(found.total() / positive, 4),
        "precision": round(found.total() / max(found.total() + wrong.total(), 1), 4),
        "recall_of_single_values": round(alone / positive, 4),
        "precision_of_single_values": round(alone / max(alone + wrong_alone, 1), 4),
        "recall_by_format": {name: round(found[name] / values[name], 4) for name in KINDS},
        "taken_for": dict(wrong),
    }  # fmt: skip


def _observe(sql: str, rows: list[tuple[Any, ...]]) -> None:
    parameter_facts(sql, rows[0])
    if reads_rows(sql):
        row_facts(sql, lambda: COLUMNS, lambda: rows)


def _ns_per_call(work: Callable[[int], object], calls: int) -> float:
    start_ns = time.process_time_ns()
    for number in range(calls):
        work(number)
    return (time.process_time_ns() - start_ns) / calls


def measure_cost(calls: int, seed: int) -> dict[str, Any]:
    """Return the cost of a call in each mode, and its ratio to the yardstick."""
    made = [column.values for column in labelled_columns(seed, 1)]
    rows = [tuple(str(column[row]) for column in made[at : at + 4]) for at in range(0, 60, 4) for row in range(12)]
    samples = [rows[at * 12 : at * 12 + 12] for at in range(15)]
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t(a, b, c, d)")
    connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", samples[0])
    yardstick = _ns_per_call(lambda _: connection.execute("SELECT a, b, c, d FROM t").fetchall(), 20_000)
    found: dict[str, Any] = {"yardstick_ns": round(yardstick)}
    for mode in ("off", "columns", "values"):
        set_mode(mode)
        observation.forget()
        spent = _ns_per_call(lambda number: _observe(STATEMENTS[number % 50], samples[number % 15]), calls)
        found[f"{mode}_ns"], found[f"{mode}_vs_yardstick"] = round(spent), round(spent / yardstick, 3)
    observation.forget()
    worst = 0
    for number in range(2_000):
        start_ns = time.thread_time_ns()
        _observe(f"{STATEMENTS[number % 50]} -- {number}", samples[number % 15])
        worst = max(worst, time.thread_time_ns() - start_ns)
    return found | {"worst_us": round(worst / 1_000)}


def main() -> None:
    """Print all figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--calls", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    quality, cost = measure_quality(arguments.columns, arguments.seed), measure_cost(arguments.calls, arguments.seed)
    print(json.dumps({"quality": quality, "cost": cost}, indent=1))


if __name__ == "__main__":
    main()
