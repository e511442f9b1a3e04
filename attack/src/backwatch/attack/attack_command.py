"""The sub-command ``attack``: runs hostile services on loopback against your own setup."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click


@click.group(short_help="Tests your setup against hostile services on loopback.")
def attack() -> None:
    """Tests your setup against hostile services on loopback: real protocols, real drivers, and the alerts they raise.

    \b
    Examples:
      backwatch attack list                        list all attacks
      backwatch attack run mysql-local-infile      run one attack
      backwatch attack run --all --json            run all attacks, one JSON object per line
      backwatch attack quiet                       run ordinary work, which must raise no alert
    """


@attack.command("list", short_help="Lists the attacks and their expected alerts.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per attack.")
def list_(as_json: bool) -> None:
    """Lists the attacks: what each does, its driver, and the rule that must raise an alert."""
    from backwatch.attack.scenarios import discover, driver_version
    from backwatch.collector.console.table import align

    found = list(discover())
    if as_json:
        _print_documents({
            "scenario": kind.name(), "code": kind.code, "group": kind.group(), "attack": kind.attack,
            "driver": kind.driver, "driver_version": driver_version(kind.driver), "expected": kind.rule,
            "notices": kind.notices, "option": kind.option, "reference": kind.reference,
        } for kind in found)  # fmt: skip
        return
    rows = [("code", "scenario", "driver", "expected", "attack")]
    rows += [(kind.code, kind.name(), kind.driver, kind.rule, kind.attack) for kind in found]
    for line in align(rows):
        click.echo(line)


@attack.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "every", is_flag=True, help="Run all attacks.")
@click.option("--alerts", is_flag=True, help="Print each alert with its evidence.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per attack.")
def run(names: tuple[str, ...], every: bool, alerts: bool, as_json: bool) -> None:
    """Runs attacks. Each service is honest at first and then attacks its app.

    The exit code is 0 only if each expected rule raised an alert within ten seconds, and no other rule above
    informational did.

    \b
    Examples:
      backwatch attack run mysql-local-infile redis-pickle
      backwatch attack run --alerts postgresql-certificate-swapped
      backwatch attack run --all
    """
    from backwatch.attack.environment import ComponentError, exit_on_signals
    from backwatch.attack.report import Report
    from backwatch.attack.runner import open_pack
    from backwatch.attack.scenarios import discover
    from backwatch.attack.terminal import open_console

    if not names and not every:
        raise click.UsageError("name an attack, or use --all")
    known = {kind.name(): kind for kind in discover()}
    chosen = [
        known[name]
        for name in _choose(known, () if every else names, "attack", "backwatch attack list shows all names")
    ]
    exit_on_signals()
    report = Report(open_console(stderr=as_json))
    try:
        with open_pack(chosen, report.step) as pack:
            for kind in chosen:
                report.before(pack.results[kind])
                result = pack.run(kind)
                report.after(result)
                if alerts:
                    report.alerts(result)
                if as_json:
                    _print_documents([result.document()])
            results = list(pack.results.values())
            if not as_json:
                report.table(results)
            good = report.summarize(results)
    except ComponentError as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0 if good else 1)


@attack.command(short_help="Runs ordinary workloads, which must raise no alert.")
@click.argument("names", nargs=-1, metavar="[WORKLOAD]...")
@click.option("--year", is_flag=True, help="Play weeks and months on simulated time, in memory, instead of an hour.")
@click.option("--scenario", "scenarios", multiple=True, metavar="NAME", help="A scenario of the year; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per workload and driver, or scenario.")
def quiet(names: tuple[str, ...], year: bool, scenarios: tuple[str, ...], as_json: bool) -> None:
    """Runs apps at ordinary work for one simulated hour: reconnects, deploys, batches. It must raise no alert.

    With --year, scenarios of up to a year are judged instead: renewals, fail-overs, deploys, backups, month ends. That
    takes minutes. The exit code is 0 only if no rule above informational raised an alert.

    \b
    Examples:
      backwatch attack quiet
      backwatch attack quiet deploy nightly-batch
      backwatch attack quiet --year
      backwatch attack quiet --year --scenario month-end
    """
    if scenarios and not year:
        raise click.UsageError("--scenario needs --year")
    if names and year:
        raise click.UsageError("--year plays scenarios: name them by --scenario")
    try:
        sys.exit(0 if (_play_year(scenarios, as_json) if year else _play_hour(names, as_json)) else 1)
    except KeyboardInterrupt:
        sys.exit(130)


def _play_hour(names: tuple[str, ...], as_json: bool) -> bool:
    """Run the quiet hour, print its result, and return whether it was quiet."""
    from backwatch.attack.baseline.hour import run_quiet_hour
    from backwatch.attack.baseline.report import QuietReport
    from backwatch.attack.baseline.workload_runs import runs_of
    from backwatch.attack.baseline.workloads import discover
    from backwatch.attack.environment import ComponentError, exit_on_signals
    from backwatch.attack.terminal import open_console

    known = {kind.name(): kind for kind in discover()}
    runs = runs_of(known[name] for name in _choose(known, names, "workload", f"choose from {', '.join(known)}"))
    exit_on_signals()
    report = QuietReport(open_console(stderr=as_json))
    try:
        run_quiet_hour(runs, report.step)
    except ComponentError as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        _print_documents(run.document() for run in runs)
    else:
        report.table(runs)
    return report.summarize(runs)


def _play_year(names: tuple[str, ...], as_json: bool) -> bool:
    """Play the scenarios of the year, print each result, and return whether all were quiet."""
    from backwatch.attack.baseline.year.run import describe, describe_alert, run_year
    from backwatch.attack.baseline.year.scenario import discover

    known = {kind.name(): kind for kind in discover()}
    chosen = [known[name] for name in _choose(known, names, "scenario", f"choose from {', '.join(known)}")]
    results = 0
    alerts = 0
    good = True
    for result in run_year(chosen):
        results, alerts, good = results + 1, alerts + len(result.alerts), good and result.is_quiet
        if as_json:
            _print_documents([result.document()])
            continue
        click.echo(describe(result))
        for alert in result.alerts:
            click.echo(describe_alert(alert))
    if not as_json:
        click.echo(f"{results} scenarios: {alerts} alerts above informational")
    return good


def _choose(known: Mapping[str, object], names: Sequence[str], kind: str, hint: str) -> Iterable[str]:
    """Return each name once; all if there are none.

    Raises:
        click.UsageError: A name is unknown.
    """
    if unknown := [name for name in names if name not in known]:
        raise click.UsageError(f"no {kind} is named {unknown[0]!r}; {hint}")
    return dict.fromkeys(names or known)


def _print_documents(documents: Iterable[Mapping[str, Any]]) -> None:
    for document in documents:
        click.echo(json.dumps(document))
