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
    """What was given to read is not what the command takes."""

    exit_code = EXIT_USAGE


class Leaving(threading.Event):
    """Set by SIGINT and SIGTERM: what runs finishes its turn, commits and leaves.

    Attributes:
        signal: Which one it was; 0: none.
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


def _look_for_stream(stream: StreamSettings) -> None:
    """What is wrong with the stream's settings or its file is reported at once; a broker that is away is waited for."""
    from backwatch.collector.stream import StreamUnavailable, ensure_topics

    try:
        ensure_topics(stream, (names.TOPIC_SPANS, names.TOPIC_CALLS))
    except StreamUnavailable as error:
        if not stream.url.startswith("kafka://"):
            raise
        click.echo(f"backwatch: {error.strerror or error}; waiting for it", err=True)


def _leave_if_asked(stop: Leaving) -> None:
    if stop.is_set():
        sys.exit(128 + stop.signal)


@click.command()
@click.option("--stream-url", help="Where calls come from: kafka://host:9092 or sqlite:///path. [BACKWATCH_STREAM_URL]")
@click.option(
    "--store-url", help="Where alerts and state are kept: sqlite:///path or postgresql://… [BACKWATCH_STORE_URL]"
)
@click.option("--no-router", is_flag=True, help=f"Do not carry {names.TOPIC_SPANS} over to {names.TOPIC_CALLS} here.")
def detect(stream_url: str | None, store_url: str | None, no_router: bool) -> None:
    """Judges calls as they come, until it is stopped.

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
    stop = Leaving()
    _look_for_stream(stream)
    store = open_store(load(StoreSettings, flags={"url": store_url}).url, check=False)
    monitoring = DetectorMonitoring(store, stop, router=not no_router)
    wait_for_store(store, lambda: upgrade(store), stop, monitoring.extend_start)
    _leave_if_asked(stop)
    from backwatch.detector import warm  # brings the compiler, which is not needed to refuse a setting
    from backwatch.detector.rules.rule_files import list_user_files

    list_user_files(settings.rules_directory, "BACKWATCH_RULES_DIR")  # fails before a minute of compiling
    if not warm.is_cached():
        click.echo("backwatch: compiling the detector's kernels, once; this takes about a minute", err=True)
        warm.fill_cache(stop)
        _leave_if_asked(stop)
    from backwatch.detector.runtime.lag import RULE
    from backwatch.detector.runtime.progress import ProgressBoard
    from backwatch.detector.runtime.service import Service, engine_for

    engine = wait_for_store(store, lambda: engine_for(store, settings), stop, monitoring.extend_start)
    if engine is None:
        sys.exit(128 + stop.signal)
    warm.step_through(engine)  # before the group is joined: a member that compiles holds partitions unread
    service = Service(stream, store, settings, engine=engine, on_ready=lambda: click.echo(READY, err=True))
    groups, thread = [service.progress], None
    if not no_router:
        from backwatch.detector.ingest.router import Router

        router = Router(stream, instance=settings.instance)
        groups.append(router.progress)
        thread = threading.Thread(target=router.run, args=(monitoring.router_stop,), name="backwatch-router")
        thread.start()
    rule = next((one for one in service.engine.rules.rules if one.name == RULE), None)
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


@click.command(short_help="Judges recorded OTLP files, prints findings as JSON.")
@click.argument("files", nargs=-1, required=True)
@click.option("--rules-dir", default=None, help="Own Sigma rules beside the shipped ones. [BACKWATCH_RULES_DIR]")
@click.option(
    "--loopback",
    type=click.Choice(["exempt", "judge"]),
    help="Are plaintext and unverified sessions to loopback addresses judged? [BACKWATCH_DETECTOR_LOOPBACK]",
)
def replay(files: tuple[str, ...], rules_dir: str | None, loopback: str | None) -> None:
    """Judges recorded OTLP FILES (JSON lines, JSON, protobuf; gzip; - for standard input), prints findings as JSON.

    Counts of spans read, calls judged and findings made go to standard error. Exit code 1: not all could be read.

    \b
    Examples:
      backwatch replay spans.jsonl.gz > findings.jsonl
      zcat spans.jsonl.gz | backwatch replay - | jq -r .detector | sort | uniq -c
    """
    from backwatch.detector.engine.step import EngineConfig
    from backwatch.detector.ingest.sources import Unreadable, read
    from backwatch.detector.rules.rulebook import make_engine
    from backwatch.detector.runtime.replay import Replay, write

    settings = load(DetectorSettings, flags={"rules_directory": rules_dir, "loopback": loopback})
    config = EngineConfig(clear_after_ns=int(settings.clear_after_s * 1e9), judge_loopback=settings.loopback == "judge")
    judging = Replay(make_engine(config, settings.rules_directory))
    unreadable: list[str] = []

    def requests() -> Iterator[bytes]:
        for item in read(files):
            if isinstance(item, Unreadable):
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


@click.command(short_help="Gives each row of a timestamp,value series its anomaly score.")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
def score(file: str) -> None:
    """Gives each row of a timestamp,value series its anomaly score, from 0 (usual) to 1.

    The statistics are those that volume-spike uses; a score depends on nothing that comes later.

    \b
    Example:
      backwatch score series.csv > scored.csv
    """
    from backwatch.detector.models.scoring import score_file

    try:
        score_file(file, sys.stdout)
    except ValueError as error:
        raise _WrongInput(str(error)) from None


@click.command(short_help="Fits the model of multivariate-anomaly from what the store has seen.")
@click.option("--store-url", help="Whose rollups to learn from. [BACKWATCH_STORE_URL]")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Also write the arrays here (.npz).")
def fit(store_url: str | None, out: Path | None) -> None:
    """Fits the model of multivariate-anomaly from the stored rollups and enters it as a numbered model version."""
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
