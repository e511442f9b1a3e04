"""Make golden recordings anew; only an intended change of behaviour may do that.

    python -m tests.contract.golden.record input             run the pack and the quiet hour, keep what their apps send
    python -m tests.contract.golden.record findings          judge the kept input, keep the findings
    python -m tests.contract.golden.record outside           judge what BACKWATCH_TEST_DATA has, keep counts and hashes
    python -m tests.contract.golden.record live FILE…        keep the outcomes of runs, each file all lines of one run

``input`` and ``live`` take many minutes of a machine that does nothing else. The table of renames must be empty.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from tests.contract.golden import findings, live, outside, streams
from tests.contract.golden.judging import build_engine, judge
from tests.contract.golden.renames import Renames

RECORDED = Path(__file__).with_name("recorded")
PACK, QUIET = "pack", "quiet"
OUTSIDE = RECORDED / "outside.json"
DATA = "BACKWATCH_TEST_DATA"


def locate_input(name: str) -> Path:
    """Return where the input of the pack or of the quiet hour is."""
    return RECORDED / f"{name}.otlp.jsonl.gz"


def findings_file(name: str) -> Path:
    """Return where the findings on that input are."""
    return RECORDED / f"{name}.findings.jsonl.gz"


def judge_recorded(name: str, renames: Renames) -> dict[str, list[findings.Alert]]:
    """Judge a recorded input with the present code: alerts by app."""
    engine = build_engine()
    return {
        app: findings.to_alerts(judge(engine, streams.requests_of(blocks, renames)))
        for app, blocks in streams.read(locate_input(name)).items()
    }


def record_input() -> None:
    """Run the pack and the quiet hour."""
    from tests.contract.golden.capture import capture_pack, capture_quiet

    streams.write(locate_input(PACK), capture_pack(_print))
    streams.write(locate_input(QUIET), capture_quiet(_print))


def record_findings() -> None:
    """Judge the kept input."""
    for name in (PACK, QUIET):
        found = judge_recorded(name, Renames())
        findings.write(findings_file(name), [alert for alerts in found.values() for alert in alerts])


def record_outside() -> None:
    """Judge the outside data."""
    data = Path(os.environ[DATA])
    found = {name: outside.sums_of(data, name, Renames()) for name in outside.streams_of(data)}
    OUTSIDE.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


def record_live() -> None:
    """Keep outcomes that were printed by one or more runs."""
    runs: dict[str, list[live.Outcome]] = {}
    for file in sys.argv[2:]:
        for line in Path(file).read_text().splitlines():
            outcome = live.outcome_of(json.loads(line), Renames())
            runs.setdefault(outcome["scenario"], []).append(outcome)
    merged = [live.merge(outcomes) for _, outcomes in sorted(runs.items())]
    live.RECORDED.write_text("".join(json.dumps(outcome) + "\n" for outcome in merged))


def _print(text: str) -> None:
    print(text, file=sys.stderr)


COMMANDS: dict[str, Callable[[], None]] = {
    "input": record_input, "findings": record_findings, "outside": record_outside, "live": record_live,
}  # fmt: skip


def main() -> None:
    """Run the command that the first argument names."""
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command not in COMMANDS:
        sys.exit(f"{__doc__}")
    if Renames.load() != Renames():
        sys.exit(
            "record: renames.toml is not empty; a new recording has the present names, so empty it in the same commit"
        )
    RECORDED.mkdir(exist_ok=True)
    COMMANDS[command]()


if __name__ == "__main__":
    main()
