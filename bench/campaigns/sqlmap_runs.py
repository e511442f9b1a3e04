"""Real sqlmap against the app over HTTP: every technique, and every tamper script that fits the dialect.

sqlmap is a tool of this bench only. Install it outside of the project, for example ``python -m venv /tmp/sqlmap &&
/tmp/sqlmap/bin/pip install sqlmap``, and name its command by ``--sqlmap``.
"""

import contextlib
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from urllib.parse import urlencode

from bench.campaigns import web
from bench.campaigns.app import App
from bench.campaigns.attacks import TARGETS, Recorder, Run, honest_request
from bench.campaigns.dialect import Dialect
from bench.campaigns.records import Record

DATABASES = ("MySQL", "PostgreSQL", "SQLite")
UNFIT_TAMPERS = {"varnish", "xforwardedfor", "luanginx", "luanginxmore"}
"""Scripts that change headers or send thousands of other parameters: the statements are those without a script."""
WRITE_POSITIONS = {"insert", "update", "delete"}
TAMPER_TARGETS = tuple(target for target in TARGETS if target[2] in {"number", "string", "like", "list"})[:6]
GOALS = (
    ("--dump", "-T", "staff"), ("--dump", "-T", "member", "-C", "card_no,email"), ("--tables",),
    ("--current-user", "--banner"),
    ("--columns", "-T", "staff"), ("--count", "-T", "loan"), ("--dump", "-T", "setting"), ("--users",), ("--schema",),
)  # fmt: skip
KEEP_FIRST, KEEP_LAST = 110, 40
"""Statements of a long run that are kept: probing and finding at its beginning, reading out at its end."""


def tampers(sqlmap: Path, dialect: Dialect) -> list[str]:
    """Return the tamper scripts that fit a dialect, by what their docstrings state."""
    command = sqlmap.resolve().parent.parent
    folders = sorted(command.rglob("sqlmap/tamper")) or sorted(command.rglob("tamper"))
    found: list[str] = []
    for path in sorted(folders[0].glob("*.py")):
        document = (
            re.search(r'"""\s*(?!Copyright)(.*?)"""', path.read_text().partition("def tamper")[2], re.DOTALL) or [""]
        )[0]
        required = document.partition("Requirement:")[2].partition("Tested against:")[0].partition("Notes:")[0]
        named = [name for name in (*DATABASES, "Oracle", "SQL Server", "Access") if name in (required or document)]
        if path.stem not in {"__init__", *UNFIT_TAMPERS} and (not named or dialect.sqlmap in named):
            found.append(path.stem)
    return found


def plan(sqlmap: Path, dialect: Dialect, limit_s: float, random: Random) -> Iterator[Run]:
    """Yield the runs of a dialect: each target by all techniques and by single ones, then each tamper script."""
    for number, (tid, name, position) in enumerate(TARGETS):
        goal = GOALS[number % len(GOALS)]
        technique = "TSBQ" if position in WRITE_POSITIONS else "BEUSTQ"
        yield Run(
            tid=tid, field=name, position=position, technique=technique, goal=goal, level=3, limit_s=1.5 * limit_s
        )
    for number, letter in enumerate("BEUSTQ"):
        for tid, name, position in (TAMPER_TARGETS[number], TAMPER_TARGETS[(number + 1) % len(TAMPER_TARGETS)]):
            yield Run(tid=tid, field=name, position=position, technique=letter, level=3, limit_s=limit_s)
    for number, script in enumerate(tampers(sqlmap, dialect)):
        tid, name, position = TAMPER_TARGETS[number % len(TAMPER_TARGETS)]
        technique = random.choice(("BEU", "BEU", "EU", "BT", "U", "BQ"))
        goal = GOALS[random.randrange(len(GOALS))]
        yield Run(
            tid=tid, field=name, position=position, technique=technique, tamper=script, goal=goal, limit_s=limit_s
        )  # fmt: skip


def thin(records: list[Record]) -> list[Record]:
    """Return the beginning and the end of a long run."""
    if len(records) <= KEEP_FIRST + KEEP_LAST:
        return records
    return records[:KEEP_FIRST] + records[-KEEP_LAST:]


class SqlmapAttack:
    """Carries out runs with one installed sqlmap."""

    def __init__(self, sqlmap: Path) -> None:
        self._sqlmap = sqlmap
        version = subprocess.run([sqlmap, "--version"], capture_output=True, text=True, check=True).stdout
        self._source = f"sqlmap {version.strip().partition('#')[0]} against live "

    def __call__(self, app: App, run: Run, random: Random) -> list[Record]:
        """Run sqlmap once, within the run's time."""
        base = honest_request(app, run, random)
        recorder = Recorder(app, run, base, "stmt_sqlmap", self._source + app.dialect.sqlmap)
        with tempfile.TemporaryDirectory() as folder, web.serve(app, recorder) as url:
            self._run(app, run, [*self._target(url, run, base), f"--output-dir={folder}"])
        return thin(recorder.records)

    def _target(self, url: str, run: Run, base: dict[str, str]) -> list[str]:
        query = urlencode(base)
        if run.position in WRITE_POSITIONS:
            return ["-u", f"{url}/{run.tid}", "--data", query]
        return ["-u", f"{url}/{run.tid}?{query}"]

    def _run(self, app: App, run: Run, target: list[str]) -> None:
        command = [
            "nice", "-n", "19", str(self._sqlmap), *target, "-p", run.field, f"--dbms={app.dialect.sqlmap}", "--batch",
            f"--technique={run.technique}", f"--level={run.level}", "--risk=2", "--time-sec=1", "--timeout=10",
            "--retries=0",
            "--flush-session", "--disable-coloring", "--skip-waf", "--ignore-code=500", "--stop=4", *run.goal, "-v0",
        ]  # fmt: skip
        if run.tamper:
            command.append(f"--tamper={run.tamper}")
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            process.wait(run.limit_s)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
