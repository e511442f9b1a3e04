"""The command group ``backwatch profile``: documents of what an app may do, and of expected identities."""

import json
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from backwatch.collector.cli import Unavailable
from backwatch.detector.profile_changes import approve, diff, enforce, export, learn
from backwatch.detector.profile_files import (
    by_option,
    file_argument,
    one_line,
    open_existing_store,
    read_author,
    read_document,
    url_option,
)

if TYPE_CHECKING:
    import sqlalchemy as sa

    from backwatch.detector.profile.document import Profile
    from backwatch.store.profiles import ProfileRow


@click.group(short_help="Write down what an app may do, and announce planned changes of servers.")
def profile() -> None:
    """Write down what an app may do, in a document that you review: learn it, compare it, approve it, enforce it.

    A profile also announces certificates, issuers, addresses, versions, server ids, nodes and redirect hosts of a
    resource. Announced values raise no alert when they appear.

    \b
    Examples:
      backwatch profile learn --from spans.jsonl.gz -o backwatch.yml
      backwatch profile enforce backwatch.yml --by release-42
      backwatch profile announce shop.yml --by release-42
    """


for command in (learn, export, diff, approve, enforce):
    profile.add_command(command)


@profile.command(short_help="Check a profile.")
@file_argument
def check(file: str) -> None:
    """Check the profile in FILE (- for standard input), and show what it announces.

    Each fault is one line: file, line, field and reason. Exit code 1: there are faults.

    \b
    Examples:
      backwatch profile check shop.yml
      cat shop.yml | backwatch profile check -
    """
    from backwatch.detector.profile.document import SECTIONS

    found = read_document(file)
    click.echo(f"app {found.app}: {_describe_counts(found)}")
    for section in SECTIONS:
        if entries := getattr(found, section):
            click.echo(f"  {section}: {len(entries)}")
    _print([resource.plain() for resource in found.announced])


@profile.command(short_help="Put a profile into effect.")
@file_argument
@by_option
@url_option
def announce(file: str, by: str, store_url: str | None) -> None:
    """Put the profile in FILE (- for standard input) into effect, in place of the app's previous one.

    Detectors apply it within a second. Values that are no longer listed and never appeared are forgotten; values that
    appeared stay known. The same profile is not entered twice. Exit code 1: the document has faults, and nothing was
    entered.

    \b
    Examples:
      backwatch profile announce shop.yml
      backwatch profile announce shop.yml --by "Ann, change 4711"
    """
    from backwatch.store.connect import StoreUnavailable
    from backwatch.store.profiles import enter

    found = read_document(file)
    by = read_author(by)
    plain = found.plain()
    try:
        engine = open_existing_store(store_url)
        number, new = enter(
            engine, found.app, plain["announced"], sha256=found.sha256, by=by, now_ns=time.time_ns()
        )  # fmt: skip
        unseen = _find_unseen(engine, found)
        engine.dispose()
    except StoreUnavailable as error:
        raise Unavailable(str(error)) from None
    except ValueError as error:
        raise click.ClickException(f"{file}: {error}") from None
    click.echo(
        f"{'entered as' if new else 'unchanged since'} number {number}: app {found.app}, {_describe_counts(found)}"
    )
    for line in unseen:
        click.echo(f"backwatch: {one_line(line)}", err=True)


@profile.command(short_help="Show the announced values.")
@click.option("--app", default="", help="Only this app's, named as alerts show it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per app.")
@url_option
def show(app: str, store_url: str | None, *, as_json: bool) -> None:
    """Show the announced values per app and resource, with author, time and number of the entry.

    \b
    Examples:
      backwatch profile show
      backwatch profile show --app shop --json | jq -r '.announced[].resource'
    """
    from backwatch.store.connect import StoreUnavailable
    from backwatch.store.profiles import read_current
    from backwatch.store.transactions import reading

    try:
        engine = open_existing_store(store_url)
        with reading(engine) as connection:
            rows = read_current(connection, app)
        engine.dispose()
    except StoreUnavailable as error:
        raise Unavailable(str(error)) from None
    if not as_json and not any(row.announced for row in rows):
        click.echo(f"backwatch: nothing is announced{f' for {app}' if app else ''}", err=True)
    for row in rows:
        if as_json:
            click.echo(json.dumps(asdict(row), sort_keys=True))
        elif row.announced:
            _show(row)


def _show(row: "ProfileRow") -> None:
    at = datetime.fromtimestamp(row.at_ns // 1_000_000_000, UTC).isoformat()
    click.echo(f"app {row.app}: number {row.entry_id}, by {one_line(row.by)}, {at}")
    _print([dict(resource) for resource in row.announced])


def _print(announced: list[dict[str, Any]]) -> None:
    for resource in announced:
        reason = f" ({one_line(str(resource['reason']))})" if resource.get("reason") else ""
        click.echo(f"  {one_line(str(resource['resource']))}{reason}")
        for kind, values in resource.items():
            if isinstance(values, list):
                click.echo(f"    {kind}: {', '.join(one_line(str(value)) for value in values)}")  # pyright: ignore[reportUnknownVariableType]


def _describe_counts(found: "Profile") -> str:
    resources = len(found.announced)
    values = sum(len(texts) for resource in found.announced for texts in resource.values.values())
    return f"{values} value{'s' * (values != 1)} at {resources} resource{'s' * (resources != 1)} announced"


def _find_unseen(engine: "sa.Engine", found: "Profile") -> list[str]:
    """Return the announced names that no call has shown yet: announced in advance, or misspelt."""
    from backwatch.store.inventory import list_resources
    from backwatch.store.transactions import reading

    with reading(engine) as connection:
        rows = list_resources(connection, app=found.app)
    if not rows:
        return [f"app {found.app} has made no call yet: is its name as the dashboard shows it?"]
    # As ``columns.key_texts.resource_key`` writes it, whose import would load the compiler.
    known = sorted({
        f"{row.system} {row.endpoint}{f'/{row.namespace}' if row.namespace else ''}".strip() for row in rows
    })  # fmt: skip
    return [
        f"{resource.resource} has not been seen yet; it counts from its first call on. Seen: {', '.join(known[:10])}"
        for resource in found.announced
        if resource.resource not in known
    ]
