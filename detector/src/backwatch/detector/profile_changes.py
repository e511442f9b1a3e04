"""``backwatch profile learn``, ``export``, ``diff``, ``approve``, ``enforce``: what an app may do."""

import fnmatch
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from backwatch.collector.cli import EXIT_UNHEALTHY, Unavailable
from backwatch.detector.profile_files import (
    by_option,
    file_argument,
    learn_files,
    one_line,
    open_existing_store,
    read_author,
    read_document,
    url_option,
    write_document,
)

if TYPE_CHECKING:
    from backwatch.detector.profile.document import Entry, Profile

_from_option = click.option(
    "--from",
    "files",
    multiple=True,
    metavar="FILES",
    help="Recorded OTLP spans; once for each file. Default: the store.",
)
_app_option = click.option("--app", default="", help="The app, named as alerts show it.")


@click.command(short_help="Learn what an app does.")
@_from_option
@_app_option
@click.option("-o", "--output", default="-", help="Add it to the profile in this file. Default: print it.")
@url_option
def learn(files: tuple[str, ...], app: str, output: str, store_url: str | None) -> None:
    """Learn an app's profile from recorded spans, or from the store, and print it or add it to a file.

    Spans show statements, destinations, sessions and volume. The store keeps no statements: from there come sessions
    and volume, and what was enforced. The same input gives the same bytes. Statements that look injected are left out.

    \b
    Examples:
      backwatch profile learn --from spans.jsonl.gz -o backwatch.yml
      backwatch profile learn --app shop
    """
    from backwatch.detector.profile.comparing import merge

    if output != "-" and Path(output).exists():
        known = read_document(output)
        app = app or known.app
        write_document(merge(known, _read_seen(files, app, store_url)), output)
    else:
        write_document(_read_seen(files, app, store_url), output)


@click.command(short_help="Print what the store knows of an app.")
@_app_option
@url_option
def export(app: str, store_url: str | None) -> None:
    """Print the profile of an app that the store knows: what was announced and enforced, sessions and volume.

    \b
    Examples:
      backwatch profile export --app shop > backwatch.yml
    """
    write_document(_read_store(app, store_url), "-")


@click.command(short_help="Compare a profile with another, or with what was seen.")
@file_argument
@click.argument("other", default="", type=click.Path(dir_okay=False))
@_from_option
@url_option
def diff(file: str, other: str, files: tuple[str, ...], store_url: str | None) -> None:
    """Show how the profile in OTHER differs from that in FILE; without OTHER, what was seen that FILE does not hold.

    A line begins with + (only in OTHER, or seen), - (only in FILE) or ~ (both, differently). Exit code 3: there are
    differences.

    \b
    Examples:
      backwatch profile diff backwatch.yml release.yml
      backwatch profile diff backwatch.yml --from spans.jsonl.gz
      backwatch profile diff backwatch.yml
    """
    from backwatch.detector.profile.comparing import find_differences, find_excess

    if other and files:
        raise click.UsageError("OTHER and --from exclude each other")
    before = read_document(file)
    if other:
        found = list(find_differences(before, read_document(other)))
    else:
        found = list(find_excess(before, _read_seen(files, before.app, store_url), _today()))
    for difference in found:
        mark = "+" if difference.before is None else "-" if difference.after is None else "~"
        entry = difference.after or difference.before
        if entry is not None:
            click.echo(f"{mark} {difference.section}: {_describe(entry)}")
    sys.exit(EXIT_UNHEALTHY if found else 0)


@click.command(short_help="Add what was seen to a profile, with author and reason.")
@file_argument
@_from_option
@by_option
@click.option("--reason", required=True, help="Why the app may do this.")
@click.option("--site", default="*", help="Only call sites that match this pattern. Default: all.")
@click.option("--until", default="", metavar="DAY", help="Only until the end of this day, such as 2027-01-31.")
@url_option
def approve(
    file: str, files: tuple[str, ...], by: str, reason: str, site: str, until: str, store_url: str | None
) -> None:
    """Add the statements and destinations that were seen, and that the profile in FILE does not hold, to that file.

    Without --from, these are those of open alerts of unapproved-query and unapproved-destination. The file is for
    review: put it into effect with enforce.

    \b
    Examples:
      backwatch profile approve backwatch.yml --reason "hotfix 4711" --until 2027-01-31
      backwatch profile approve backwatch.yml --from spans.jsonl.gz --site "shop/*" --reason "release 42"
    """
    from backwatch.detector.profile.comparing import find_not_held, merge
    from backwatch.detector.profile.document import ExceptionEntry, Profile

    held, by = read_document(file), read_author(by)
    reason, until = _read_reason(reason), _read_day(until)
    seen = learn_files(files, held.app) if files else _read_alerts(held.app, store_url)
    if files:
        fresh = find_not_held(seen, replace(held, destinations=held.destinations or seen.destinations), _today())
    else:
        fresh = seen
    statements = [entry for entry in fresh.statements if fnmatch.fnmatchcase(entry.site, site)]
    destinations = [entry for entry in fresh.destinations if fnmatch.fnmatchcase(entry.site, site)]
    if until:
        added = Profile(app=held.app, exceptions=(
            *(ExceptionEntry(site=entry.site, statement=entry.statement, until=until, reason=reason, by=by)
              for entry in statements),
            *(ExceptionEntry(site=entry.site, destination=entry.destination, until=until, reason=reason, by=by)
              for entry in destinations),
        ))  # fmt: skip
    else:
        added = Profile(
            app=held.app, statements=[replace(entry, by=by, reason=reason) for entry in statements],
            destinations=[replace(entry, by=by, reason=reason) for entry in destinations],
        )  # fmt: skip
    for entry in (*statements, *destinations):
        click.echo(f"+ {_describe(entry)}")
    if not statements and not destinations:
        click.echo("backwatch: nothing was seen that the profile does not hold", err=True)
    elif file == "-":
        raise click.UsageError("FILE must be a file: it is written to")
    else:
        write_document(merge(held, added), file)


@click.command(short_help="Raise on what a profile does not hold.")
@click.argument("file", default="", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--off", default="", metavar="APP", help="Stop enforcing the profile of this app.")
@by_option
@url_option
def enforce(file: str, off: str, by: str, store_url: str | None) -> None:
    """Put the profile in FILE into effect: what it does not hold raises unapproved-query or unapproved-destination.

    What it holds is not new. It takes the place of the app's previous profile, with what it announces. Detectors apply
    it within a second. Statements are judged if the profile lists statements, destinations if it lists some.

    \b
    Examples:
      backwatch profile enforce backwatch.yml --by release-42
      backwatch profile enforce --off shop
    """
    from backwatch.detector.profile.store_knowledge import warn_of_unknown_app
    from backwatch.store.connect import StoreUnavailable
    from backwatch.store.profiles import enter, read_current
    from backwatch.store.transactions import reading

    if bool(file) == bool(off):
        raise click.UsageError("give either FILE or --off APP")
    found, by = read_document(file) if file else None, read_author(by)
    try:
        engine = open_existing_store(store_url)
        if found is None:
            with reading(engine) as connection:
                rows = read_current(connection, off)
            announced, sha256 = (rows[0].announced, rows[0].sha256) if rows else ((), "")
            number, new = enter(
                engine, off, announced, sha256=sha256, by=by, now_ns=time.time_ns(), enforced={}
            )  # fmt: skip
        else:
            plain = found.plain()
            announced = plain.pop("announced")
            number, new = enter(
                engine, found.app, announced, sha256=found.sha256, by=by, now_ns=time.time_ns(), enforced=plain
            )  # fmt: skip
            with reading(engine) as connection:
                _show_warning(warn_of_unknown_app(connection, found.app))
        engine.dispose()
    except StoreUnavailable as error:
        raise Unavailable(str(error)) from None
    except ValueError as error:
        raise click.ClickException(f"{file}: {error}") from None
    what = f"{'entered as' if new else 'unchanged since'} number {number}: "
    if found is None:
        click.echo(f"{what}app {one_line(off)}, nothing is enforced")
        return
    click.echo(
        f"{what}app {found.app}, {len(found.statements)} statements, {len(found.destinations)} destinations and"
        f" {len(found.exceptions)} exceptions enforced"
    )
    for entry in found.exceptions:
        if entry.until < _today():
            click.echo(f"backwatch: ended on {entry.until}: {_describe(entry)}", err=True)


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _read_reason(reason: str) -> str:
    from backwatch.detector.profile.document import MAX_TEXT_CHARACTERS

    if not reason.strip() or len(reason) > MAX_TEXT_CHARACTERS or not reason.isprintable():
        raise click.UsageError(f"--reason must have 1 to {MAX_TEXT_CHARACTERS} printable characters")
    return reason.strip()


def _read_day(until: str) -> str:
    if until:
        try:
            until = datetime.strptime(until, "%Y-%m-%d").replace(tzinfo=UTC).date().isoformat()
        except ValueError:
            raise click.UsageError("--until must be a day such as 2027-01-31") from None
        if until < _today():
            raise click.UsageError(f"--until={until} is over")
    return until


def _describe(entry: "Entry") -> str:
    """Return an entry on one line."""
    from backwatch.detector.profile.document import plain_entry

    parts = {name: value for name, value in plain_entry(entry).items() if name != "example"}
    texts = [", ".join(value) if isinstance(value, list) else str(value) for value in parts.values()]
    names = list(parts)
    first = 2 if "site" in parts else 1
    return one_line("  ".join([
        *texts[:first], *(f"{name}={text}" for name, text in zip(names[first:], texts[first:], strict=True))
    ]))  # fmt: skip


def _read_seen(files: tuple[str, ...], app: str, store_url: str | None) -> "Profile":
    return learn_files(files, app) if files else _read_store(app, store_url)


def _read_store(app: str, store_url: str | None) -> "Profile":
    from backwatch.detector.profile.store_knowledge import read_known, warn_of_unknown_app
    from backwatch.store.connect import StoreUnavailable
    from backwatch.store.transactions import reading

    try:
        engine = open_existing_store(store_url)
        with reading(engine) as connection:
            found = read_known(connection, app, time.time_ns())
            warning = warn_of_unknown_app(connection, found.app)
        engine.dispose()
    except StoreUnavailable as error:
        raise Unavailable(str(error)) from None
    except LookupError as error:
        raise click.UsageError(one_line(str(error.args[0]))) from None
    _show_warning(warning)
    return found


def _show_warning(warning: str) -> None:
    if warning:
        click.echo(f"backwatch: {one_line(warning)}", err=True)


def _read_alerts(app: str, store_url: str | None) -> "Profile":
    from backwatch.detector.profile.store_knowledge import read_unapproved
    from backwatch.store.connect import StoreUnavailable
    from backwatch.store.transactions import reading

    try:
        engine = open_existing_store(store_url)
        with reading(engine) as connection:
            found, left_out = read_unapproved(connection, app)
        engine.dispose()
    except StoreUnavailable as error:
        raise Unavailable(str(error)) from None
    for line in left_out:
        click.echo(f"backwatch: not approved, {one_line(line)}", err=True)
    return found
