"""The detector's sub-commands: ``detect``, ``replay``, ``score``, ``rules``, ``profile``, ``fit``."""

import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import click

from backwatch.collector import names
from backwatch.collector.cli import EXIT_USAGE, Unavailable
from backwatch.collector.settings import (
    DetectorSettings,
    StoreSettings,
    StreamSettings,
    default_store_url,
    load,
    without_secrets,
)
from backwatch.detector.profile_command import profile
from backwatch.detector.rules_command import rules

__all__ = ["detect", "fit", "profile", "replay", "rules", "score"]


class _WrongInput(click.ClickException):
    """Input that the command cannot read."""

    exit_code = EXIT_USAGE


class StopSignal(threading.Event):
    """Set by SIGINT and SIGTERM: the loops finish their turn, commit and exit.

    Attributes:
        signal: Number of the signal; 0: none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.signal = 0
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._leave)

    def _leave(self, number: int, _frame: FrameType | None) -> None:
        self.signal = number
        self.set()


READY = "backwatch: ready; detecting; stop with Ctrl-C"


def _check_stream(stream: StreamSettings) -> None:
    """Report wrong stream settings at once. A broker that does not answer is waited for."""
    from backwatch.collector.stream import StreamUnavailable
    from backwatch.collector.stream.factory import ensure_topics

    try:
        ensure_topics(stream, (names.TOPIC_SPANS, names.TOPIC_CALLS))
    except StreamUnavailable as error:
        if not stream.url.startswith("kafka://"):
            raise
        click.echo(f"backwatch: {error.strerror or error}; waiting for it", err=True)


def _exit_if_stopped(stop: StopSignal) -> None:
    if stop.is_set():
        sys.exit(128 + stop.signal)


@click.command()
@click.option("--stream-url", help="Stream of calls: kafka://host:9092 or sqlite:///path. [BACKWATCH_STREAM_URL]")
@click.option("--store-url", help="Store of alerts and state: sqlite:///path or postgresql://… [BACKWATCH_STORE_URL]")
@click.option("--no-router", is_flag=True, help=f"Do not forward {names.TOPIC_SPANS} to {names.TOPIC_CALLS}.")
def detect(stream_url: str | None, store_url: str | None, no_router: bool) -> None:
    """Judge calls as they come, until it is stopped.

    \b
    Examples:
      backwatch detect
      backwatch detect --stream-url kafka://kafka:9092 --store-url postgresql://backwatch@db/backwatch
    """
    from backwatch.detector.runtime.monitoring import DetectorMonitoring
    from backwatch.detector.runtime.store_wait import wait_for_store
    from backwatch.store.connect import open_store
    from backwatch.store.migrate import upgrade

    stream = load(StreamSettings, flags={"url": stream_url})
    settings = load(DetectorSettings)
    stop = StopSignal()
    _check_stream(stream)
    store = open_store(load(StoreSettings, flags={"url": store_url}).url, check=False)
    monitoring = DetectorMonitoring(store, stop, router=not no_router)
    wait_for_store(store, lambda: upgrade(store), stop, monitoring.extend_start)
    _exit_if_stopped(stop)
    from backwatch.detector import warm  # brings the compiler, which is not needed to refuse a setting
    from backwatch.detector.rules.rule_files import list_user_files

    list_user_files(settings.rules_directory, "BACKWATCH_RULES_DIR")  # fails before a minute of compiling
    if not warm.is_cached():
        click.echo("backwatch: compiling the detector's kernels, once; this takes about a minute", err=True)
        warm.fill_cache(stop)
        _exit_if_stopped(stop)
    from backwatch.detector.runtime.lag import RULE
    from backwatch.detector.runtime.progress import ProgressBoard
    from backwatch.detector.runtime.service import DetectorService, engine_for

    engine = wait_for_store(store, lambda: engine_for(store, settings), stop, monitoring.extend_start)
    if engine is None:
        sys.exit(128 + stop.signal)
    warm.step_through(engine)  # before the group is joined: a member that compiles holds partitions unread
    service = DetectorService(stream, store, settings, engine=engine, on_ready=lambda: click.echo(READY, err=True))
    groups, thread = [service.progress], None
    if not no_router:
        from backwatch.detector.runtime.router import Router

        router = Router(stream, instance=settings.instance)
        groups.append(router.progress)
        thread = threading.Thread(target=router.run, args=(monitoring.router_stop,), name="backwatch-router")
        thread.start()
    rule = next((rule for rule in service.engine.rules.rules if rule.name == RULE), None)
    board = ProgressBoard(store, groups, rule)
    board.start()
    try:
        service.run(monitoring.service_stop)
    finally:
        stop.set()
        monitoring.close()
        if thread:
            thread.join(10)
        board.stop()
    sys.exit(128 + stop.signal if stop.signal else 0)


@click.command(short_help="Judge recorded OTLP files; print findings as JSON.")
@click.argument("files", nargs=-1, required=True)
@click.option("--rules-dir", default=None, help="Folder of your Sigma rules. [BACKWATCH_RULES_DIR]")
@click.option(
    "--loopback",
    type=click.Choice(["exempt", "judge"]),
    help="Judge plaintext and unverified sessions to loopback addresses, or exempt them. [BACKWATCH_DETECTOR_LOOPBACK]",
)
def replay(files: tuple[str, ...], rules_dir: str | None, loopback: str | None) -> None:
    """Judge recorded OTLP FILES, and print findings as JSON.

    FILES are JSON lines, JSON or protobuf, plain or gzip; - is standard input.

    Counts of spans, calls and findings go to standard error. Exit code 1: some input could not be read.

    \b
    Examples:
      backwatch replay spans.jsonl.gz > findings.jsonl
      zcat spans.jsonl.gz | backwatch replay - | jq -r .detector | sort | uniq -c
    """
    from backwatch.detector.engine.factory import make_engine
    from backwatch.detector.engine.step import EngineConfig
    from backwatch.detector.ingest.sources import UnreadablePiece, read
    from backwatch.detector.runtime.replay import Replay, write

    settings = load(DetectorSettings, flags={"rules_directory": rules_dir, "loopback": loopback})
    config = EngineConfig(clear_after_ns=int(settings.clear_after_s * 1e9), judge_loopback=settings.loopback == "judge")
    judging = Replay(make_engine(config, settings.rules_directory))
    unreadable: list[str] = []

    def requests() -> Iterator[bytes]:
        for item in read(files):
            if isinstance(item, UnreadablePiece):
                unreadable.append(f"{item.origin}: {item.reason}")
            else:
                yield item.request

    write(judging.judge(requests()), sys.stdout)
    counts = judging.counts
    bad = len(unreadable) + counts.unreadable
    click.echo(
        f"spans read {counts.spans}, calls judged {counts.calls}, findings {counts.findings}, late {counts.late},"
        f" unreadable {bad}",
        err=True,
    )
    for line in unreadable[:10]:
        click.echo(f"backwatch: {line}", err=True)
    sys.exit(1 if bad else 0)


@click.command(short_help="Score the rows of a timestamp,value series.")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@click.option(
    "--false-alarms-per-month",
    type=click.FloatRange(min=0.001, max=1_000),
    default=3.0,
    show_default=True,
    help="Budget: rows of 0.5 and above that are expected of a series without events in a month of its time. "
    "3 suits alerts; 30, one a day, a recorded series that you look through.",
)
def score(file: str, false_alarms_per_month: float) -> None:
    """Give each row of a timestamp,value series its anomaly score, from 0 (usual) to 1; from 0.5 on it is an alarm.

    The statistics are those of volume-spike. A score does not depend on later rows.

    \b
    Example:
      backwatch score series.csv > scored.csv
      backwatch score --false-alarms-per-month 30 incident.csv > scored.csv
    """
    from backwatch.detector.models.scoring import score_file

    try:
        score_file(file, sys.stdout, false_alarms_per_month)
    except ValueError as error:
        raise _WrongInput(str(error)) from None


@click.command(short_help="Fit the model of multivariate-anomaly from the store's rollups.")
@click.option("--store-url", help="Store with the rollups. [BACKWATCH_STORE_URL]")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Also write the arrays here (.npz).")
def fit(store_url: str | None, out: Path | None) -> None:
    """Fit the model of multivariate-anomaly from the stored rollups, and append it as a log entry."""
    from backwatch.detector.models.fit import TooLittleHistory
    from backwatch.detector.models.fitting import fit_and_enter
    from backwatch.store.connect import StoreUnavailable, open_store

    url = load(StoreSettings, flags={"url": store_url}).url or default_store_url()
    try:
        click.echo(fit_and_enter(open_store(url, must_exist=True), out))
    except StoreUnavailable as error:
        raise Unavailable(str(error)) from None
    except TooLittleHistory as error:
        raise click.ClickException(f"BACKWATCH_STORE_URL={without_secrets(url)!r}: {error}") from None
