"""The sub-commands ``demo`` and ``up``."""

import io
import os
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path

import click

PIPE_WIDTH = 150
"""Columns of the table if the output is no terminal."""


@click.command(short_help="Runs real attacks on loopback and shows their alerts.")
@click.option(
    "--once", is_flag=True, help="Run the attacks once, print the table and exit; the default without a terminal."
)
def demo(once: bool) -> None:
    """Runs real attacks on loopback and shows their alerts: an ordinary app, real drivers, services that turn hostile.

    Needs no server, no root and no network. The exit code is 0 only if each attack raised its expected alert, and no
    other alert was raised.

    \b
    Examples:
      backwatch demo           run the attacks, then keep the dashboard running
      backwatch demo --once    run the attacks and exit
    """
    try:
        sys.exit(_run_demo(once=once or not sys.stdout.isatty()))
    except KeyboardInterrupt:
        sys.exit(130)


def _run_demo(*, once: bool) -> int:
    began = time.monotonic()
    from backwatch.attack.demo.setup import open_demo
    from backwatch.attack.demo.show import Show
    from backwatch.attack.environment import ComponentError, exit_on_signals
    from backwatch.attack.terminal import open_console

    exit_on_signals()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that knows no check marks still shows the rest
    show = Show(open_console(PIPE_WIDTH))
    try:
        with open_demo(show) as (running, address):
            outcome = running.run()
            show.table()
            show.end(f"{outcome}, {time.monotonic() - began:.0f} s", good=outcome.good)
            if not once:
                show.step(f"the dashboard stays at {address} and the shop at work; stop with Ctrl-C")
                running.hold()
    except ComponentError as error:
        raise click.ClickException(str(error)) from None
    return 0 if outcome.good else 1


@click.command(short_help="Starts stream, detector, notify and dashboard here.")
def up() -> None:
    """Starts stream, detector, notify and dashboard on this machine, for an app under backwatch run.

    Notify starts only if BACKWATCH_WEBHOOK_URL is set.

    \b
    Example:
      backwatch up &
      backwatch run -- python app.py
    """
    from backwatch.attack.environment import ComponentError, exit_on_signals

    exit_on_signals()
    try:
        _keep_up()
    except KeyboardInterrupt:
        sys.exit(130)
    except ComponentError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)


def _keep_up() -> None:
    from backwatch.attack.environment import Environment, is_listening
    from backwatch.collector import settings
    from backwatch.store.connect import open_store
    from backwatch.store.migrate import upgrade

    dashboard = settings.load(settings.DashboardSettings)
    notifies = bool(settings.load(settings.NotifySettings).webhook_url)
    stream_url = settings.load(settings.StreamSettings).url or settings.default_stream_url()
    store_url = settings.load(settings.StoreSettings).url or settings.default_store_url()
    port = settings.load(settings.MonitoringSettings).port

    def to_monitoring_setting(number: int) -> dict[str, str]:
        """Return the monitoring port of a component by its number: each is a process of its own."""
        return {"BACKWATCH_MONITORING_PORT": str(port + number if port else 0)}

    _check_is_free(dashboard.address, dashboard.port)
    store = open_store(store_url, check=False)
    upgrade(store)  # before any client reads it
    store.dispose()
    with (
        tempfile.TemporaryDirectory(prefix="backwatch-up-") as folder,
        Environment(Path(folder), os.environ) as environment,
    ):
        environment.start("detector", ("detect",), to_monitoring_setting(0))
        environment.start("dashboard", ("dashboard",), to_monitoring_setting(2))
        if notifies:
            environment.start("notify", ("notify",), to_monitoring_setting(1))
        where = "127.0.0.1" if dashboard.address in ("0.0.0.0", "") else dashboard.address
        environment.wait_for("the dashboard listens", lambda: is_listening(where, dashboard.port))
        click.echo(f"stream     {settings.without_secrets(stream_url)}")
        click.echo(f"store      {settings.without_secrets(store_url)}")
        click.echo(f"dashboard  http://{where}:{dashboard.port}")
        click.echo(f"notify     {'on' if notifies else 'off: BACKWATCH_WEBHOOK_URL is not set'}")
        if port:
            click.echo(
                f"monitoring {port} (detector){f', {port + 1} (notify)' if notifies else ''}, {port + 2} (dashboard)"
            )
        click.echo(f"logs       {folder}")
        command = "backwatch" if shutil.which("backwatch") else sys.argv[0]
        click.echo(f"Now run your app:  {command} run -- python app.py")
        while True:
            environment.check()
            time.sleep(1)


def _check_is_free(address: str, port: int) -> None:
    from backwatch.collector.settings import SettingError

    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((address, port))
        except (socket.gaierror, UnicodeError):
            raise SettingError(f"BACKWATCH_DASHBOARD_ADDRESS={address!r}: is not an address of this machine") from None
        except OSError as error:
            raise SettingError(
                f"BACKWATCH_DASHBOARD_PORT={port}: cannot listen on {address}: {error.strerror}"
            ) from None
