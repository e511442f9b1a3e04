"""The sub-command ``attack``: runs hostile services on loopback against your own setup."""

import json
import sys

import click

WIDE = 180
"""Columns of the table if the output is no terminal."""


@click.group(short_help="Tests yourself against hostile services on loopback.")
def attack() -> None:
    """Tests yourself against hostile services on loopback: real protocols, real drivers, and what Backwatch says.

    \b
    Examples:
      backwatch attack list                        what there is
      backwatch attack run mysql-local-infile      one of them
      backwatch attack run --all --json            all of them, one object a line
      backwatch attack quiet                       ordinary work only: nothing must be said
    """


@attack.command("list", short_help="Lists the attacks, and what must be said of each.")
@click.option("--json", "as_json", is_flag=True, help="One object a line.")
def list_(as_json: bool) -> None:
    """The attacks: what each does, on which driver, and what must be said of it."""
    from backwatch.attack.scenarios import discover, driver_version
    from backwatch.collector.console.table import align

    found = list(discover())
    if as_json:
        for kind in found:
            click.echo(json.dumps({
                "entry": kind.name(), "code": kind.code, "group": kind.group(), "attack": kind.attack,
                "driver": kind.driver, "driver_version": driver_version(kind.driver), "expected": kind.rule,
                "notices": kind.notices, "option": kind.option, "reference": kind.reference,
            }))  # fmt: skip
        return
    rows = [("code", "entry", "driver", "expected", "attack")]
    rows += [(kind.code, kind.name(), kind.driver, kind.rule, kind.attack) for kind in found]
    for line in align(rows):
        click.echo(line)


@attack.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "every", is_flag=True, help="All of them.")
@click.option("--alerts", is_flag=True, help="Each alert with its evidence.")
@click.option("--json", "as_json", is_flag=True, help="One object a line.")
def run(names: tuple[str, ...], every: bool, alerts: bool, as_json: bool) -> None:
    """Runs attacks: honest services first, then each turns on its app.

    Exit code 0 only if each was caught under its declared name within ten seconds and nothing else above
    informational was said.

    \b
    Examples:
      backwatch attack run mysql-local-infile redis-pickle
      backwatch attack run --alerts postgresql-certificate-swapped
      backwatch attack run --all
    """
    from rich.console import Console

    from backwatch.attack.environment import StageError, leave_on_signals
    from backwatch.attack.report import Report
    from backwatch.attack.runner import opened
    from backwatch.attack.scenarios import discover

    known = {kind.name(): kind for kind in discover()}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise click.UsageError(f"no attack is called {unknown[0]!r}; backwatch attack list tells them all")
    if not names and not every:
        raise click.UsageError("name an attack, or give --all")
    chosen = list(known.values()) if every else [known[name] for name in dict.fromkeys(names)]
    leave_on_signals()
    console = Console(width=None if sys.stdout.isatty() else WIDE, stderr=as_json)
    report = Report(console)
    try:
        with opened(chosen, report.step) as pack:
            for kind in chosen:
                report.before(pack.played[kind])
                played = pack.play(kind)
                report.after(played)
                if alerts:
                    report.alerts(played)
                if as_json:
                    click.echo(json.dumps(played.document()))
            if not as_json:
                report.table(list(pack.played.values()))
            good = report.end(list(pack.played.values()))
    except StageError as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0 if good else 1)


@attack.command(short_help="Has apps do ordinary work: nothing must be said of it.")
@click.argument("names", nargs=-1, metavar="[SCENE]...")
@click.option("--json", "as_json", is_flag=True, help="One object a line, one for each scene and driver.")
def quiet(names: tuple[str, ...], as_json: bool) -> None:
    """Has apps do ordinary work for an hour, compressed: reconnects, deploys, batches; nothing must be said of it.

    Exit code 0 only if nothing above informational was said.

    \b
    Examples:
      backwatch attack quiet
      backwatch attack quiet deploy nightly-batch
    """
    from rich.console import Console

    from backwatch.attack.baseline.hour import played
    from backwatch.attack.baseline.parts import parts_of
    from backwatch.attack.baseline.report import QuietReport
    from backwatch.attack.baseline.workloads import discover
    from backwatch.attack.environment import StageError, leave_on_signals

    known = {kind.name(): kind for kind in discover()}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise click.UsageError(f"no scene is called {unknown[0]!r}; there are {', '.join(known)}")
    leave_on_signals()
    report = QuietReport(Console(width=None if sys.stdout.isatty() else WIDE, stderr=as_json))
    parts = parts_of(known[name] for name in dict.fromkeys(names or known))
    try:
        played(parts, report.step)
    except StageError as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        sys.exit(130)
    if as_json:
        for part in parts:
            click.echo(json.dumps(part.document()))
    else:
        report.table(parts)
    sys.exit(0 if report.end(parts) else 1)
