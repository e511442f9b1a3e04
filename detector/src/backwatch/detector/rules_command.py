"""``backwatch rules``: what rules there are, whether one's own are right, what they may read, what a verdict means."""

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
    """A name that no rule bears."""

    exit_code = EXIT_USAGE


@click.group(invoke_without_command=True, short_help="Lists, checks, tests and explains the rules.")
@click.option("--json", "as_json", is_flag=True, help="As JSON lines, with all that a rule says of itself.")
@click.pass_context
def rules(ctx: click.Context, *, as_json: bool) -> None:
    """Lists, checks, tests and explains the rules, which give the verdicts.

    Without a sub-command it lists them. Own rules are read from the folder that BACKWATCH_RULES_DIR names.

    \b
    Examples:
      backwatch rules
      backwatch rules explain tls-stripped
      backwatch rules check my-rules/ && backwatch rules test my-rules/
    """
    if ctx.invoked_subcommand is None:
        _list(as_json=as_json)


@rules.command("list", short_help="Lists every rule and filter.")
@click.option("--json", "as_json", is_flag=True, help="As JSON lines, with all that a rule says of itself.")
def list_rules(*, as_json: bool) -> None:
    """Lists every rule, gravest first: level, name, title; then every filter: until when, what it narrows, and why.

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
    for rule in sorted(found, key=lambda one: (-LEVELS.index(one.level), one.name)):
        if as_json:
            click.echo(json.dumps({**rule_metadata(rule), "over": rule.over, "silent": rule.silent}))
        else:
            aside = " (raises nothing: a correlation counts it)" if rule.silent else ""
            click.echo(f"{rule.level:13} {rule.name:{width}} {rule.title}{aside}")
    today = datetime.now(UTC).date()
    for one in loaded.filters:
        told = _told(one.filter, today)
        if as_json:
            click.echo(json.dumps({**told, "rules": list(one.rules)}))
        else:
            click.echo(f"{'filter':13} {told['until']}: {', '.join(one.rules)}: {told['reason']} ({told['filter']})")


@rules.command(short_help="Says whether the rules of a folder are right.")
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False))
def check(folder: str | None) -> None:
    """Says whether the rules in FOLDER are right; without one, those in BACKWATCH_RULES_DIR.

    Each bad one is one line: file, line, field and reason. Exit code 1: there is a bad one. A filter that has expired
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
    for one in loaded.filters:
        if one.filter.expires < today:
            click.echo(
                f"warning: {one.file}:{one.line}: {one.filter.title!r} has expired and narrows nothing", err=True
            )
    own = len(loaded.own)
    good, bad = own + len(loaded.filters), len(loaded.faults)
    click.echo(f"backwatch: {good} good, {bad} bad; {len(loaded.rules.rules) - own} shipped rules", err=True)
    sys.exit(EXIT_FAILED if loaded.faults else 0)


@rules.command(short_help="Runs the examples that stand in rules.")
@click.argument("which", metavar="[NAME|FOLDER]", required=False)
def test(which: str | None) -> None:
    """Runs the examples that stand in rules: of the one called NAME, of those in FOLDER, or of all.

    An example stands in the rule's own block, under tests: name, fires, facts (of a correlation: calls). It is held
    against all rules together, so that one which takes another's place is seen; filters are left out. Exit code 1: one
    did not come as it says, or a rule is bad.

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
        chosen = [_named(loaded, which)]
    count = wrong = 0
    for trial in run_examples(loaded.rules, build_vocabulary(), chosen):
        count += 1
        if not trial.right:
            wrong += 1
            said = f"raised: {', '.join(trial.instead) or 'nothing'}"
            must = "fires" if trial.example.fires else "does not fire"
            click.echo(f"{trial.rule.source}: {trial.rule.name}: {trial.example.name!r}: says it {must}; {said}")
    for rule in chosen:
        if not rule.tests:
            click.echo(f"backwatch: {rule.name} has no examples", err=True)
    click.echo(
        f"backwatch: {count} example{'s' * (count != 1)} of {len(chosen)} rule{'s' * (len(chosen) != 1)}, "
        f"{wrong} wrong",
        err=True,
    )
    sys.exit(EXIT_FAILED if wrong or loaded.faults else 0)


@rules.command(short_help="Lists every fact that a rule may read.")
@click.option("--json", "as_json", is_flag=True, help="As JSON lines.")
def fields(*, as_json: bool) -> None:
    """Lists every fact that a rule may read: its name, its kind, what it means.

    \b
    Examples:
      backwatch rules fields
      backwatch rules fields --json | jq -r 'select(.over == "window") | .field'
    """
    from backwatch.detector import detectors
    from backwatch.detector.rules.field_meanings import list_fields

    found = list(list_fields(detectors.discover()))
    if as_json:
        for one in found:
            click.echo(json.dumps(asdict(one)))
        return
    width, over = max(len(one.field) for one in found), ""
    for one in found:
        if one.over != over:
            over = one.over
            click.echo(f"over: {over}")
        click.echo(f"  {one.field:{width}}  {one.kind:6}  {one.meaning}")


@rules.command(short_help="Explains a verdict, and what to do.")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def explain(name: str, *, as_json: bool) -> None:
    """Explains the verdict NAME: what it means, how it is done to you, what to look at, what to do.

    \b
    Examples:
      backwatch rules explain tls-stripped
      backwatch rules explain query-attack --json | jq -r .remediation
    """
    from backwatch.detector.rules.explanation import explain_rule, render_page

    rule, today = _named(_read(), name), datetime.now(UTC).date()
    told = explain_rule(rule)
    if rule.narrowings:
        told["narrowed_by"] = [_told(one.filter, today) for one in rule.narrowings]
    click.echo(json.dumps(told) if as_json else render_page(told), nl=as_json)
    if rule.narrowings and not as_json:
        lines = [f"  - {one['filter']} ({one['until']}): {one['reason']}\n" for one in told["narrowed_by"]]
        click.echo("\nNarrowed here\n" + "".join(lines), nl=False)


def _told(one: "Filter", today: date) -> dict[str, Any]:
    """What a filter says of itself."""
    expired = one.expires < today
    return {
        "filter": one.title, "reason": one.reason, "expires": one.expires.isoformat(), "expired": expired,
        "until": f"{'expired' if expired else 'until'} {one.expires}",
    }  # fmt: skip


def _read(folder: str | None = None) -> "Loaded":
    from backwatch.detector.rules.rulebook import read

    if folder is not None:
        return read(folder, "FOLDER")
    return read(load(DetectorSettings).rules_directory)


def _named(loaded: "Loaded", name: str) -> "Rule":
    import difflib

    known = [rule.name for rule in loaded.rules.rules]
    for rule in loaded.rules.rules:
        if rule.name == name:
            return rule
    near = difflib.get_close_matches(name, known, 1)
    raise _NoSuchRule(f"no rule is called {name!r}{f'; is {near[0]} meant?' if near else ''}")
