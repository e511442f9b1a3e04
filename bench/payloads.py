"""Cost of inspecting a value of a response, for usual values and for values that hide something.

    make bench NAME=payloads                 ARGS="--rounds 9"

``bound`` is the longest of some hostile values: what one value may cost at most. ``--source FOLDER`` measures another
copy of the collector, such as an older commit's, by the same values.
"""

import argparse
import base64
import datetime as dt
import json
import pickle
import random
import sys
import time
import zlib
from collections.abc import Callable

WORK_S = 0.02


def usual_values() -> dict[str, object]:
    """Return values as caches and queues return them."""
    chance = random.Random(3)
    small = json.dumps({"id": 7, "name": "Ann", "class": "x", "tags": ["a", "b"], "type": "user", "price": 1.5})
    rows = [{"id": number, "name": f"Name {number}", "note": "some text! and more"} for number in range(1_200)]
    session = {
        f"key{number}": (number, f"value{number}", dt.datetime(2026, 1, 1, tzinfo=dt.UTC)) for number in range(24)
    }
    blob = chance.randbytes(65_536)
    header = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').decode()
    return {
        "number": b"12345",
        "uuid": b"3f2c1e5a-0b1d-4c6e-9a44-0242ac130002",
        "small JSON": small.encode(),
        "small JSON, decoded": small,
        "token (JWT)": f"{header}.{header}.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U".encode(),
        "16 small JSON": [small.encode()] * 16,
        "1 KiB pickle": pickle.dumps(session),
        "64 KiB JSON": json.dumps(rows)[:65_536].encode(),
        "64 KiB blob": blob,
        "64 KiB image in base64": base64.b64encode(blob),
    }


def hostile_values() -> dict[str, object]:
    """Return values that are meant to take long."""
    call = b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R."
    return {
        "opcodes": b"\x80\x04" + b"N0" * 500_000,
        "pickles": pickle.dumps(1, 2) * 100_000,
        "bomb": zlib.compress(bytes(50_000_000)),
        "runs": b"gASVAAAAAAAAAAAAAAAAAAAAAA " * 20_000,
        "tags": b"!!a " * 200_000,
        "prefixes": b"a" + b"\x80\x02N" * 300_000,
        "lists": b'["a.b.' * 200_000,
        "nested": base64.b64encode(zlib.compress(base64.b64encode(zlib.compress(call)))),
    }


def microseconds(inspect: Callable[[object], object], value: object, rounds: int) -> float:
    """Return the least microseconds of one inspection over some rounds."""
    begun = time.thread_time()
    inspect(value)
    count = max(1, min(20_000, int(WORK_S / max(1e-7, time.thread_time() - begun))))
    best = float("inf")
    for _ in range(rounds):
        begun = time.thread_time()
        for _ in range(count):
            inspect(value)
        best = min(best, (time.thread_time() - begun) / count)
    return best * 1e6


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--source", default="", help="the src folder of another copy of the collector")
    arguments = parser.parse_args()
    if arguments.source:
        import backwatch

        backwatch.__path__ = [f"{arguments.source}/backwatch", *backwatch.__path__]
        sys.path.insert(0, arguments.source)
    from backwatch.collector.payload.formats import detect_formats

    for title, value in usual_values().items():
        print(f"{title:<24}{microseconds(detect_formats, value, arguments.rounds):>10.2f} us")
    worst = {title: microseconds(detect_formats, value, arguments.rounds) for title, value in hostile_values().items()}
    title = max(worst, key=lambda name: worst[name])
    print(f"{'bound (' + title + ')':<24}{worst[title]:>10.0f} us")


if __name__ == "__main__":
    main()
