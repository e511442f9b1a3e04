"""The command group ``backwatch rules``: list, check, test and explain rules."""

import json
import sys
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backwatch.collector.cli import EXIT_FAILED, EXIT_USAGE
from backwatch.collector.settings import DetectorSettings, load

if TYPE_CHECKING:
    from backwatch.detector.rules.filters import Filter
    from backwatch.detector.rules.rulebook import Loaded
    from backwatch.detector.rules.sigma import Rule


class _NoSuchRule(click.ClickException):
    """A name without a rule."""

    exit_code = EXIT_USAGE


@click.group(invoke_without_command=True, short_help="List, check, test and explain rules.")
@click.option("--json", "as_json", is_flag=True, help="As JSON lines, with the whole metadata of each rule.")
@click.pass_context
def rules(ctx: click.Context, *, as_json: bool) -> None:
    """List, check, test and explain rules.

    Without a sub-command it lists them. Your rules are read from the folder BACKWATCH_RULES_DIR.

    \b
    Examples:
      backwatch rules
      backwatch rules explain tls-stripped
      backwatch rules check my-rules/ && backwatch rules test my-rules/
    """
    if ctx.invoked_subcommand is None:
        _list(as_json=as_json)


@rules.command("list", short_help="List every rule and filter.")
@click.option("--json", "as_json", is_flag=True, help="As JSON lines, with the whole metadata of each rule.")
def list_rules(*, as_json: bool) -> None:
    """List every rule by severity, then every filter.

    Rules show level, name and title; filters show their end, the rules that they narrow, and the reason.

    \b
    Examples:
      backwatch rules list
      backwatch rules list --json | jq -r 'select(.level == "critical") | .name'
    """
    _list(as_json=as_json)


def _list(*, as_json: bool) -> None:
    from backwatch.detector.rules.rulebook import rule_metadata
    from backwatch.store.text import LEVELS

    loaded = _read()
    for fault in loaded.faults:
        click.echo(f"backwatch: rule left out: {fault}", err=True)
    found = loaded.rules.rules
    width = max(len(rule.name) for rule in found)
    for rule in sorted(found, key=lambda listed: (-LEVELS.index(listed.level), listed.name)):
        if as_json:
            click.echo(json.dumps({**rule_metadata(rule), "over": rule.over, "silent": rule.silent}))
        else:
            aside = " (raises nothing: a correlation counts it)" if rule.silent else ""
            click.echo(f"{rule.level:13} {rule.name:{width}} {rule.title}{aside}")
    today = datetime.now(UTC).date()
    for narrowing in loaded.filters:
        shown = _describe_filter(narrowing.filter, today)
        if as_json:
            click.echo(json.dumps({**shown, "rules": list(narrowing.rules)}))
        else:
            names = ", ".join(narrowing.rules)
            click.echo(f"{'filter':13} {shown['until']}: {names}: {shown['reason']} ({shown['filter']})")


@rules.command(short_help="Check the rules of a folder.")
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False))
def check(folder: str | None) -> None:
    """Check the rules in FOLDER, or in BACKWATCH_RULES_DIR.

    Each faulty rule is one line: file, line, field and reason. Exit code 1: a rule is faulty. A filter that has expired
    is a warning.

    \b
    Examples:
      backwatch rules check my-rules/
      backwatch rules check
    """
    loaded = _read(folder)
    for fault in loaded.faults:
        click.echo(str(fault))
    today = datetime.now(UTC).date()
    for narrowing in loaded.filters:
        if narrowing.filter.expires < today:
            click.echo(
                f"warning: {narrowing.file}:{narrowing.line}: {narrowing.filter.title!r} has expired and narrows "
                "nothing",
                err=True,
            )
    own = len(loaded.own)
    good, bad = own + len(loaded.filters), len(loaded.faults)
    click.echo(f"backwatch: {good} good, {bad} bad; {len(loaded.rules.rules) - own} shipped rules", err=True)
    sys.exit(EXIT_FAILED if loaded.faults else 0)


@rules.command(short_help="Run the examples in rules.")
@click.argument("which", metavar="[NAME|FOLDER]", required=False)
def test(which: str | None) -> None:
    """Run the examples in rules: of the rule NAME, of the rules in FOLDER, or of all.

    An example is in the rule's own block, under tests: name, fires, facts (of a correlation: calls). It is evaluated
    with all rules, so that a rule which replaces another one shows; filters are ignored. Exit code 1: an example
    failed, or a rule is faulty.

    \b
    Examples:
      backwatch rules test
      backwatch rules test tls-stripped
      backwatch rules test my-rules/
    """
    from backwatch.detector.rules.rulebook import build_vocabulary
    from backwatch.detector.rules.trials import run_examples

    folder = which if which is not None and Path(which).is_dir() else None
    loaded = _read(folder)
    for fault in loaded.faults:
        click.echo(str(fault))
    chosen = [rule for rule in loaded.rules.rules if not folder or rule.name in loaded.own]
    if which is not None and folder is None:
        chosen = [_find_rule(loaded, which)]
    count = wrong = 0
    for trial in run_examples(loaded.rules, build_vocabulary(), chosen):
        count += 1
        if not trial.right:
            wrong += 1
            raised = f"raised: {', '.join(trial.instead) or 'nothing'}"
            must = "fires" if trial.example.fires else "does not fire"
            click.echo(f"{trial.rule.source}: {trial.rule.name}: {trial.example.name!r}: expected: {must}; {raised}")
    for rule in chosen:
        if not rule.tests:
            click.echo(f"backwatch: {rule.name} has no examples", err=True)
    click.echo(
        f"backwatch: {count} example{'s' * (count != 1)} of {len(chosen)} rule{'s' * (len(chosen) != 1)}, "
        f"{wrong} wrong",
        err=True,
    )
    sys.exit(EXIT_FAILED if wrong or loaded.faults else 0)


@rules.command(short_help="List every fact that a rule may read.")
@click.option("--json", "as_json", is_flag=True, help="As JSON lines.")
def fields(*, as_json: bool) -> None:
    """List every fact that a rule may read: name, kind and meaning.

    \b
    Examples:
      backwatch rules fields
      backwatch rules fields --json | jq -r 'select(.over == "window") | .field'
    """
    from backwatch.detector import detectors
    from backwatch.detector.rules.field_meanings import list_fields

    found = list(list_fields(detectors.discover()))
    if as_json:
        for field in found:
            click.echo(json.dumps(asdict(field)))
        return
    width, over = max(len(field.field) for field in found), ""
    for field in found:
        if field.over != over:
            over = field.over
            click.echo(f"over: {over}")
        click.echo(f"  {field.field:{width}}  {field.kind:6}  {field.meaning}")


@rules.command(short_help="Explain a rule, and what to do.")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def explain(name: str, *, as_json: bool) -> None:
    """Explain the rule NAME: its meaning, how the attack works, what to look at, what to do.

    \b
    Examples:
      backwatch rules explain tls-stripped
      backwatch rules explain query-attack --json | jq -r .remediation
    """
    from backwatch.detector.rules.explanation import explain_rule, render_page

    rule, today = _find_rule(_read(), name), datetime.now(UTC).date()
    explained = explain_rule(rule)
    if rule.narrowings:
        explained["narrowed_by"] = [_describe_filter(narrowing.filter, today) for narrowing in rule.narrowings]
    click.echo(json.dumps(explained) if as_json else render_page(explained), nl=as_json)
    if rule.narrowings and not as_json:
        lines = [
            f"  - {narrowing['filter']} ({narrowing['until']}): {narrowing['reason']}\n"
            for narrowing in explained["narrowed_by"]
        ]
        click.echo("\nNarrowed here\n" + "".join(lines), nl=False)


def _describe_filter(narrowing: "Filter", today: date) -> dict[str, Any]:
    """Return a filter as it is listed."""
    expired = narrowing.expires < today
    return {
        "filter": narrowing.title, "reason": narrowing.reason, "expires": narrowing.expires.isoformat(),
        "expired": expired, "until": f"{'expired' if expired else 'until'} {narrowing.expires}",
    }  # fmt: skip


def _read(folder: str | None = None) -> "Loaded":
    from backwatch.detector.rules.rulebook import read

    if folder is not None:
        return read(folder, "FOLDER")
    return read(load(DetectorSettings).rules_directory)


def _find_rule(loaded: "Loaded", name: str) -> "Rule":
    import difflib

    known = [rule.name for rule in loaded.rules.rules]
    for rule in loaded.rules.rules:
        if rule.name == name:
            return rule
    near = difflib.get_close_matches(name, known, 1)
    raise _NoSuchRule(f"no rule is called {name!r}{f'; is {near[0]} meant?' if near else ''}")
