"""Files and the store as the profile commands read and write them."""

import getpass
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from backwatch.collector.cli import EXIT_FAILED
from backwatch.collector.settings import StoreSettings, load

if TYPE_CHECKING:
    import sqlalchemy as sa

    from backwatch.detector.profile.document import Profile

url_option = click.option("--store-url", help="The store. [BACKWATCH_STORE_URL]")
file_argument = click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
by_option = click.option("--by", default="", help="Author of the entry; default: this user.")
MAX_AUTHOR_CHARACTERS = 200


def one_line(text: str) -> str:
    """Return text for a terminal, with control characters escaped."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def read_author(by: str) -> str:
    """Return the author: as given, else this user."""
    by = by.strip() or getpass.getuser()
    if len(by) > MAX_AUTHOR_CHARACTERS or not by.isprintable():
        raise click.UsageError(f"--by must have 1 to {MAX_AUTHOR_CHARACTERS} printable characters")
    return by


def read_document(file: str) -> "Profile":
    """Return the profile in a file, or - for standard input; exit with one line for each fault."""
    from backwatch.detector.profile.document import LARGEST
    from backwatch.detector.profile.reading import NotAProfile, parse

    if file == "-":
        content = sys.stdin.buffer.read(LARGEST + 1)
    else:
        with Path(file).open("rb") as opened:
            content = opened.read(LARGEST + 1)
    name = "standard input" if file == "-" else file
    try:
        return parse(content.decode("utf-8"))
    except UnicodeDecodeError:
        faults: tuple[tuple[int, str], ...] = ((1, "is not UTF-8 text"),)
    except NotAProfile as error:
        faults = error.faults
    for line, what in faults:
        click.echo(f"{name}:{line}: {one_line(what)}", err=True)
    sys.exit(EXIT_FAILED)


def write_document(profile: "Profile", file: str) -> None:
    """Write a profile to a file, in one step; to standard output for - or nothing."""
    from backwatch.detector.profile.document import LARGEST, MAX_DESTINATIONS, MAX_STATEMENTS
    from backwatch.detector.profile.writing import serialize

    text = serialize(profile)
    if (
        len(text.encode()) > LARGEST
        or len(profile.statements) > MAX_STATEMENTS
        or len(profile.destinations) > MAX_DESTINATIONS
    ):
        raise click.ClickException("the app does more than a profile can hold; nothing was written")
    if file in ("", "-"):
        click.echo(text, nl=False)
        return
    beside = Path(f"{file}.new")
    beside.write_text(text, "utf-8")
    beside.replace(file)


def open_existing_store(store_url: str | None) -> "sa.Engine":
    """Return the store of the option, or of the settings."""
    from backwatch.store.connect import open_store

    return open_store(load(StoreSettings, flags={"url": store_url}).url, must_exist=True)


def learn_files(files: Sequence[str], app: str) -> "Profile":
    """Return what recorded spans show of an app, which may be left out where they are of one app alone."""
    from backwatch.detector.ingest.routing import route
    from backwatch.detector.ingest.sources import UnreadablePiece, read
    from backwatch.detector.profile.learning import Learner

    learner = Learner(app=app)
    unreadable: list[str] = []

    def values() -> Iterator[bytes]:
        for item in read(files):
            if isinstance(item, UnreadablePiece):
                unreadable.append(f"{item.origin}: {item.reason}")
            else:
                yield from (message.value for message in route(item.request))

    learner.add(values())
    for line in unreadable[:10]:
        click.echo(f"backwatch: {one_line(line)}", err=True)
    if not app and len(learner.apps) != 1:
        names = ", ".join(one_line(name) for name in sorted(learner.apps)[:10]) or "none"
        raise click.UsageError(f"--app must name one of the apps in these spans: {names}")
    for site, statement in sorted(learner.looked_injected):
        where = one_line(site) or "without a call site"
        click.echo(f"backwatch: not learnt, it looks injected: {where}: {one_line(statement[:200])}", err=True)
    if learner.left_out:
        click.echo(f"backwatch: no room for {learner.left_out} statements and destinations", err=True)
    return learner.profile(app or min(learner.apps))
