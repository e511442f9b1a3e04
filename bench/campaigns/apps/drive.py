"""Requests to one of the apps: honest ones, honest bugs, and sqlmap.

    python -m bench.campaigns.apps.drive URL [--honest N] [--bugs] [--sqlmap PATH]

``URL`` is that of the app. Prints a line of JSON: how many requests had which status.
"""

import argparse
import collections
import json
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

from bench.campaigns.apps import BUGS, HONEST
from bench.campaigns.values import CITIES, MEMBERS, SORTS, WORDS


def honest_paths(count: int, random: Random) -> Iterator[str]:
    """Yield paths of honest requests."""
    for _ in range(count):
        yield random.choice(HONEST).format(
            member=random.randint(1, MEMBERS), word=random.choice(WORDS), sort=random.choice(SORTS),
            city=random.choice(CITIES),
        )  # fmt: skip


def request(url: str, paths: Iterable[str]) -> dict[int, int]:
    """Request paths of an app one after another; return how many had which status."""
    statuses: collections.Counter[int] = collections.Counter()
    for path in paths:
        try:
            with urllib.request.urlopen(url + path, timeout=30) as response:  # noqa: S310 - of this app
                response.read()
                statuses[response.status] += 1
        except urllib.error.HTTPError as error:
            error.close()
            statuses[error.code] += 1
    return dict(statuses)


def attack(sqlmap: Path, url: str, *, limit_s: float = 120, table: str = "staff") -> None:
    """Let sqlmap read a table out through ``/find``."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            "nice", "-n", "19", str(sqlmap), "-u", f"{url}/find?id=5&name=a", "-p", "id", "--batch",
            "--level=2", "--risk=2", "--time-sec=1", "--flush-session", "--dump", "-T", table,
            f"--output-dir={folder}", "-v0", "--ignore-code=500",
        ]  # fmt: skip
        subprocess.run(command, timeout=limit_s, stdin=subprocess.DEVNULL, capture_output=True, check=False)


def main() -> None:
    """Parse the options and send the requests."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--honest", type=int, default=0)
    parser.add_argument("--bugs", action="store_true")
    parser.add_argument("--sqlmap", type=Path)
    options = parser.parse_args()
    report = {"honest": request(options.url, honest_paths(options.honest, Random(1)))}
    if options.bugs:
        report["bugs"] = request(options.url, BUGS)
    if options.sqlmap:
        attack(options.sqlmap, options.url)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
