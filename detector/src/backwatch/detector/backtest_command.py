"""``backwatch backtest``: what other settings or rules would have raised, beside what was raised."""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from backwatch.collector.cli import EXIT_USAGE, Unavailable
from backwatch.collector.settings import DetectorSettings, StoreSettings, default_store_url, load

if TYPE_CHECKING:
    from backwatch.detector.runtime.backtest import AlertHistory, ComparedAlert

_UNITS: Final = {"m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}
_DURATION: Final = re.compile(r"(\d{1,6})([mhdw])")
_JUDGING: Final = ("loopback", "clear_after_s")
"""Settings on which alerts depend, apart from the folder of rules."""
MAX_SHOWN: Final = 200
"""Alerts that are printed one by one; ``--json`` prints all."""


class _WrongUsage(click.ClickException):
    """An argument that cannot be read."""

    exit_code = EXIT_USAGE


def parse_since(text: str) -> tuple[int, int]:
    """Return a duration in nanoseconds, or else a point in time.

    >>> parse_since("7d"), parse_since("2026-01-05")
    ((604800000000000, 0), (0, 1767571200000000000))
    """
    found = _DURATION.fullmatch(text)
    if found:
        return int(found[1]) * _UNITS[found[2]] * 10**9, 0
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise _WrongUsage(f"--since={text}: 30m, 12h, 7d, 2w, or a date in ISO 8601") from None
    return 0, int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()) * 10**9


def read_settings(pairs: Sequence[str], rules: str | None) -> Mapping[str, str]:
    """Return flags of ``DetectorSettings`` for ``KEY=VALUE``: the variable's name, or its end in lower case."""
    by_name = {str(spec.metadata["env"]): spec.name for spec in fields(DetectorSettings) if spec.name in _JUDGING}
    by_name |= {name: name for name in _JUDGING}
    flags: dict[str, str] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or key not in by_name:
            raise _WrongUsage(f"--set={pair}: KEY=VALUE, where KEY is one of {', '.join(by_name)}")
        flags[by_name[key]] = value
    return flags | ({"rules_directory": rules} if rules is not None else {})


@click.command(short_help="Compare what other settings or rules would have raised with what was raised.")
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False))
@click.option("--since", help="Compare alerts from then on: 30m, 12h, 7d, 2w before the newest data, or an ISO date.")
@click.option(
    "--set", "changes", multiple=True, metavar="KEY=VALUE",
    help="Another setting of the detector: loopback or clear_after_s; repeatable.",
)  # fmt: skip
@click.option("--rules-dir", help="Another folder of your Sigma rules.")
@click.option("--store-url", help="Store with alerts and rollups; without FILES. [BACKWATCH_STORE_URL]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each alert.")
def backtest(
    files: tuple[str, ...], since: str | None, changes: tuple[str, ...], rules_dir: str | None, store_url: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Compare what other settings or rules would have raised with what was raised.

    FILES are recorded spans, as replay reads them. They are judged twice: with the settings that hold now, and with
    those of --set and --rules-dir. What lies before --since is learnt from and not compared.

    Without FILES, the minutes that the store keeps are judged by the rules over minutes, such as volume-spike, and held
    against the alerts in the store. No other rule can be run again: the store keeps no statements.

    Exit code: 0 if all input was read, 1 if some could not be read, 2 for a wrong argument.

    \b
    Examples:
      backwatch backtest --rules-dir ./rules spans.jsonl.gz
      backwatch backtest --since 7d --set loopback=judge spans.jsonl.gz
      backwatch backtest --since 4w --rules-dir ./rules
      backwatch backtest --since 2026-01-05 --json | jq 'select(.before == null)'
    """
    duration_ns, since_ns = parse_since(since) if since else (0, 0)
    flags = read_settings(changes, rules_dir)
    if changes and not files:
        raise _WrongUsage(f"--set={changes[0]}: only with FILES; the store keeps minutes, which no setting changes")
    if files:
        before, after, newest_ns, bad = _judge_files(files, flags)
    else:
        before, after, newest_ns, bad = _judge_store(store_url, flags)
    from backwatch.detector.runtime.backtest import compare_alerts

    _print(compare_alerts(before, after, newest_ns - duration_ns if duration_ns else since_ns), as_json=as_json)
    sys.exit(1 if bad else 0)


_Judged = tuple["dict[str, AlertHistory]", "dict[str, AlertHistory]", int, int]
"""Alerts before and after, the newest time of the data, and the number of pieces that could not be read."""


def _judge_files(files: Sequence[str], flags: Mapping[str, str]) -> _Judged:
    from backwatch.detector.engine.factory import make_engine
    from backwatch.detector.engine.step import EngineConfig
    from backwatch.detector.ingest.sources import UnreadablePiece, read
    from backwatch.detector.runtime.backtest import collect_alerts
    from backwatch.detector.runtime.replay import Replay

    unreadable: list[str] = []

    def requests() -> Iterator[bytes]:
        unreadable.clear()
        for item in read(files):
            if isinstance(item, UnreadablePiece):
                unreadable.append(f"{item.origin}: {item.reason}")
            else:
                yield item.request

    def judge(settings: DetectorSettings) -> "tuple[dict[str, AlertHistory], Replay]":
        clear_after_ns = int(settings.clear_after_s * 1e9)
        config = EngineConfig(clear_after_ns=clear_after_ns, judge_loopback=settings.loopback == "judge")
        replay = Replay(make_engine(config, settings.rules_directory))
        return collect_alerts(replay.judge(requests())), replay

    before, replay = judge(load(DetectorSettings))
    after = judge(load(DetectorSettings, flags=flags))[0] if flags else before
    for line in unreadable[:10]:
        click.echo(f"backwatch: {line}", err=True)
    return before, after, replay.newest_ns, len(unreadable) + replay.counts.unreadable


def _judge_store(store_url: str | None, flags: Mapping[str, str]) -> _Judged:
    from backwatch.detector.rules.rulebook import load as load_rules
    from backwatch.detector.runtime.backtest import judge_rollups
    from backwatch.detector.runtime.stored_history import read_alerts, read_labels, read_rollups
    from backwatch.store.connect import StoreUnavailable, open_store

    rules = load_rules(load(DetectorSettings, flags=flags).rules_directory)
    over_minutes = frozenset(rule.name for rule in rules.rules if rule.over == "window")
    try:
        store = open_store(load(StoreSettings, flags={"url": store_url}).url or default_store_url(), must_exist=True)
        before = read_alerts(store, over_minutes)
        after, newest_ns = judge_rollups(read_rollups(store), read_labels(store), rules)
    except StoreUnavailable as error:
        raise Unavailable(str(error)) from None
    return before, after, newest_ns, 0


def _print(alerts: "Sequence[ComparedAlert]", *, as_json: bool) -> None:
    from backwatch.detector.runtime.backtest import summarize

    if as_json:
        for alert in alerts:
            click.echo(json.dumps(alert.to_json(), separators=(",", ":")))
        return
    click.echo(f"{'rule':34}{'level':15}{'before':>8}{'after':>8}")
    for rule, level, before, after in summarize(alerts):
        click.echo(f"{rule:34}{level:15}{before:8}{after:8}")
    changed = [alert for alert in alerts if (alert.before is None) != (alert.after is None)]
    for alert in changed[:MAX_SHOWN]:
        history: Any = alert.after or alert.before
        first = datetime.fromtimestamp(history["first_ns"] / 1e9, UTC).isoformat(timespec="seconds")
        sign = "+" if alert.before is None else "-"
        click.echo(f"{sign} {alert.level} {alert.rule} {alert.resource} {alert.key}: {history['firings']} from {first}")
    if len(changed) > MAX_SHOWN:
        click.echo(f"… {len(changed) - MAX_SHOWN} more; --json prints all")
    if not changed:
        click.echo("no alert came or went")
