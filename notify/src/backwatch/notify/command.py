"""``backwatch notify``: delivers alerts, until it is stopped."""

import json
import secrets
import signal
import threading
import time
from typing import NoReturn

import click
import sqlalchemy as sa

from backwatch.collector.cli import EXIT_FAILED, Unavailable, WrongSetting
from backwatch.collector.settings import NotifySettings, StoreSettings, load
from backwatch.notify.deliver import attempt
from backwatch.notify.outputs import Delivery, Kind, Output
from backwatch.notify.self_watch import SelfWatch, make_heartbeat_output
from backwatch.notify.service import EXIT_S, NotifyService, list_outputs
from backwatch.store import deliveries
from backwatch.store.connect import StoreUnavailable, open_store
from backwatch.store.deliveries import EventRow
from backwatch.store.events import format_moment
from backwatch.store.monitoring.endpoint import start_monitoring
from backwatch.store.monitoring.incidents import find_delivery_incidents
from backwatch.store.monitoring.loops import LoopMonitor, MonitoredStop

NOTHING_SET = "no endpoint is set: BACKWATCH_WEBHOOK_URL and BACKWATCH_WEBHOOK_SECRET"


@click.command(short_help="Delivers alerts as signed webhooks, and tries again.")
@click.option("--store-url", help="sqlite:///path or postgresql://user@host/database. [BACKWATCH_STORE_URL]")
@click.option("--once", is_flag=True, help="Deliver what is due, then exit: 0 if all was taken, 1 if not.")
@click.option("--test", is_flag=True, help="Send a test event to every endpoint; one that was disabled is used again.")
def notify(store_url: str | None, *, once: bool, test: bool) -> None:
    """Delivers alerts to the endpoints that are set, signed and retried.

    \b
    Examples:
      backwatch notify
      backwatch notify --test
    """
    settings = load(NotifySettings)
    outputs = list_outputs(settings)
    if not outputs and (once or test):
        raise WrongSetting(NOTHING_SET)
    try:
        engine = open_store(load(StoreSettings, flags={"url": store_url}).url, must_exist=True)
        if test:
            _test(engine, outputs, settings.timeout_s)
        service = NotifyService(engine, settings, outputs)
        if once:
            done = service.run_once()
            click.echo(f"{done.routed} new events, {done.delivered} delivered, {done.failed} failed")
            for why in done.left:
                click.echo(f"backwatch: {why}", err=True)
            _leave(EXIT_FAILED if done.failed or done.left else 0)
        _run(service, engine, settings)
    except StoreUnavailable as error:
        raise Unavailable(str(error)) from None


def _run(service: NotifyService, engine: sa.Engine, settings: NotifySettings) -> None:
    endpoints = {worker.output.endpoint: settings.timeout_s for worker in service.workers}
    watch = SelfWatch(engine, endpoints, make_heartbeat_output(settings), settings)
    loops = LoopMonitor("notify"), LoopMonitor("self-watch")
    stop = threading.Event()
    caught: list[int] = []

    def on_signal(number: int, _frame: object) -> None:
        caught.append(number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    click.echo("backwatch: notifying; stop with Ctrl-C" if service.workers else f"backwatch: {NOTHING_SET}", err=True)
    server = start_monitoring(
        "notify",
        lambda: engine,
        loops,
        lambda connection, now_ns: find_delivery_incidents(connection, endpoints, now_ns),
    )
    watching = threading.Thread(
        target=watch.run, args=(MonitoredStop(stop, loops[1]),), name="backwatch-self-watch", daemon=True
    )
    watching.start()
    service.run(MonitoredStop(stop, loops[0], threading.main_thread()))
    watching.join(EXIT_S)
    if server is not None:
        server.close()
    if caught:
        _leave(128 + caught[0])


def _test(engine: sa.Engine, outputs: list[Output], timeout_s: float) -> NoReturn:
    """Sends past the outbox, so that the answer is known at once."""
    now_ns = time.time_ns()
    text = json.dumps(
        {"data": {"message": "A test from Backwatch."}, "timestamp": format_moment(now_ns), "type": "backwatch.test"},
        separators=(",", ":"),
    )
    event_id = "test_" + secrets.token_hex(13)
    event = EventRow(id=event_id, kind="backwatch.test", alert_id="", level_rank=0, body=text)
    failed = False
    for output in outputs:
        outcome = attempt(output, Delivery(id=event_id, body=output.render(event), attempted_ns=now_ns), timeout_s)
        click.echo(f"{output.endpoint}: {outcome.kind.value} ({outcome.detail})")
        if outcome.detail == "InvalidIPAddress":
            click.echo(
                "backwatch: a host inside your network is named in BACKWATCH_WEBHOOK_ALLOW_PRIVATE_HOSTS", err=True
            )
        if outcome.kind is Kind.DELIVERED:
            deliveries.enable(engine, output.endpoint)
        else:
            failed = True
    _leave(EXIT_FAILED if failed else 0)


def _leave(code: int) -> NoReturn:
    click.get_current_context().exit(code)
