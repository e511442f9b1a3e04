"""The sub-commands ``demo`` and ``up``."""

import os
import sys
import time
from pathlib import Path

import click
from rich.console import Console

from backwatch.attack.stage import Stage, StageError


@click.command()
@click.option(
    "--once", is_flag=True, help="Play the cast once, print the table and leave; so does any run without a terminal."
)
def demo(once: bool) -> None:  # noqa: FBT001  a flag of the command
    """Shows real attacks on loopback being caught: an ordinary app, real drivers, services that turn bad one by one.

    Needs no server, no root and no network. Exit code 0 only if every attack was caught under its right name and
    nothing else was said.

    \b
    Examples:
      backwatch demo           play it, then go on showing the dashboard
      backwatch demo --once    play it and leave
    """
    from backwatch.attack.demo import staged
    from backwatch.attack.show import Show

    once = once or not sys.stdout.isatty()
    show = Show(Console(width=None if sys.stdout.isatty() else 150))
    begun = time.monotonic()
    try:
        with staged(show) as (performance, address):
            show.step(f"dashboard: {address}")
            outcome = performance.play()
            show.table()
            summary = f"{len(outcome.caught)} attacks caught, {len(outcome.missed)} missed, {len(outcome.false_alerts)} false alerts"
            click.echo(f"{summary}, {time.monotonic() - begun:.0f} s")
            if not once:
                click.echo(f"The dashboard goes on at {address}; stop with Ctrl-C.")
                performance.hold()
    except KeyboardInterrupt:
        sys.exit(130)
    except StageError as error:
        raise click.ClickException(str(error)) from None
    sys.exit(0 if outcome.good else 1)


@click.command()
def up() -> None:
    """Starts stream, detector, notify and dashboard on this machine, and waits for your app under ``backwatch run``.

    \b
    Example:
      backwatch up &
      backwatch run -- python app.py
    """
    from backwatch.collector.settings import DashboardSettings, NotifySettings, StoreSettings, default_store_url, load

    folder = Path(os.environ.get("TMPDIR", "/tmp")) / f"backwatch-up-{os.getpid()}"  # noqa: S108  logs of children, private
    folder.mkdir(mode=0o700)
    dashboard = load(DashboardSettings)
    try:
        with Stage(folder, {}) as stage:
            stage.start("detector", ("detect",))
            stage.start("dashboard", ("dashboard",))
            if load(NotifySettings).webhook_url:
                stage.start("notify", ("notify",))
            click.echo(f"store      {load(StoreSettings).url or default_store_url()}")
            click.echo(f"dashboard  http://{dashboard.address}:{dashboard.port}")
            click.echo("Now run your app:  backwatch run -- python app.py")
            while True:
                stage.check()
                time.sleep(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except StageError as error:
        raise click.ClickException(str(error)) from None
