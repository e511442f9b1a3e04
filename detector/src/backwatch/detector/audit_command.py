"""``backwatch audit``: what an account may do, what its app was seen to do, and the script that suffices."""

import json
import sys
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import click

from backwatch.collector.cli import EXIT_FAILED, EXIT_UNHEALTHY, EXIT_USAGE

if TYPE_CHECKING:
    from backwatch.detector.audit.model import Target
    from backwatch.detector.audit.seen import SeenCalls
    from backwatch.detector.privileges import Auditor

NS_PER_DAY: Final = 86_400 * 10**9


class _WrongUsage(click.ClickException):
    """An argument that cannot be used."""

    exit_code = EXIT_USAGE


class _Unreachable(click.ClickException):
    """A service or a stream that cannot be read."""

    exit_code = EXIT_FAILED


@click.command(short_help="Compare what an account may do with what its app was seen to do.")
@click.argument("url", metavar="URL")
@click.option("--account", help="The account to audit, if another one reads its rights.  [default: the URL's]")
@click.option("--app", default="", help="Only calls of this app, as alerts show it.")
@click.option("--endpoint", metavar="HOST:PORT", help="The address that the app uses, or any.  [default: the URL's]")
@click.option(
    "--days", type=click.FloatRange(min=0, min_open=True, max=3650), default=30.0, show_default=True,
    help="Calls of so many days count.",
)  # fmt: skip
@click.option(
    "--from", "files", multiple=True, metavar="FILE", type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="Recorded OTLP instead of the stream; repeatable.",
)  # fmt: skip
@click.option("--as", "new_account", help="Name of the account that the script creates.  [default: ACCOUNT_least]")
@click.option(
    "--timeout", type=click.FloatRange(min=1, max=120), default=10.0, show_default=True,
    help="Seconds for the connection and for each reply.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def audit(
    url: str, account: str | None, app: str, endpoint: str | None, days: float, files: tuple[str, ...],
    new_account: str | None, timeout: float, as_json: bool,
) -> None:  # fmt: skip
    """Print what the account in URL may do and its app never did, and the least-privilege script that would suffice.

    The rights are read from the service by read-only queries; nothing is changed. What the app did comes from the
    stream (BACKWATCH_STREAM_URL), as far back as it keeps records, or from recorded OTLP with --from. A password that
    is not in the URL is read from BACKWATCH_AUDIT_PASSWORD.

    The report is a script: all but the grants are comments, each grant under the calls that prove it. Review it; a call
    that an attacker made counts as well, and one that the app makes once a year may be missing.

    Exit code: 0 the account may do nothing beyond, 3 it may, 1 the service or the stream cannot be read, 2 a wrong
    argument.

    \b
    Examples:
      backwatch audit postgresql://shop@db.example.com/shop --days 30
      backwatch audit postgresql://admin@db.example.com/shop --account shop --app shop/production
      backwatch audit mysql://shop@127.0.0.1:3307/shop --endpoint db.internal:3306
      backwatch audit redis://shop@cache:6379/0 --from spans.jsonl.gz --json
    """
    from backwatch.detector.audit import report
    from backwatch.detector.audit.model import AuditUnavailable, WrongTarget
    from backwatch.detector.audit.quoting import UnsafeName, escape_line

    try:
        auditor, target = _parse(url, account, timeout)
        seen = _read_seen(auditor, target, app, endpoint, days, files)
        found = auditor.audit(target, seen.calls, new_account or f"{target.account or target.user or 'app'}_least")
    except WrongTarget as error:
        raise _WrongUsage(escape_line(str(error))) from None
    except UnsafeName as error:
        raise _WrongUsage(f"--as={escape_line(str(error))!r}: this name cannot be written safely") from None
    except AuditUnavailable as error:
        raise _Unreachable(escape_line(str(error))) from None
    if as_json:
        click.echo(json.dumps(report.to_json(found, seen, days), ensure_ascii=True))
    else:
        for line in report.write(found, seen, days):
            click.echo(line)
    sys.exit(EXIT_UNHEALTHY if found.has_findings else 0)


def _parse(url: str, account: str | None, timeout_s: float) -> "tuple[Auditor, Target]":
    from backwatch.collector.settings import AuditSettings, load
    from backwatch.detector.audit.model import Target, WrongTarget
    from backwatch.detector.privileges import find

    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise WrongTarget("URL: host or port cannot be read; write scheme://account@host:port/database") from None
    auditor = find(parts.scheme.partition("+")[0].lower())
    user = unquote(parts.username or "")
    password = unquote(parts.password) if parts.password is not None else load(AuditSettings).password
    return auditor, Target(
        scheme=parts.scheme.partition("+")[0].lower(), host=host or "localhost", port=port or auditor.port, user=user,
        password=password, namespace=unquote(parts.path.removeprefix("/")), options=dict(parse_qsl(parts.query)),
        account=account or user, timeout_s=timeout_s,
    )  # fmt: skip


def _read_seen(
    auditor: "Auditor", target: "Target", app: str, endpoint: str | None, days: float, files: tuple[str, ...]
) -> "SeenCalls":
    from backwatch.collector.settings import StreamSettings, load
    from backwatch.collector.stream import StreamUnavailable
    from backwatch.detector.audit.model import WrongTarget
    from backwatch.detector.audit.seen import Filter, read_files, read_stream

    addresses = {(target.host.lower(), target.port)}
    if endpoint == "any" or not target.port:
        addresses = set[tuple[str, int]]()
    elif endpoint:
        host, _, port = endpoint.rpartition(":")
        if not host or not port.isdigit():
            raise WrongTarget(f"--endpoint={endpoint[:80]!r}: write HOST:PORT, or any")
        addresses = {(host.lower(), int(port))}
    chosen = Filter(
        systems=frozenset(auditor.systems), account=target.account, addresses=frozenset(addresses), app=app,
        since_ns=int(time.time_ns() - days * NS_PER_DAY),
    )  # fmt: skip
    if files:
        return read_files(files, chosen)
    try:
        return read_stream(load(StreamSettings), chosen)
    except StreamUnavailable as error:
        raise _Unreachable(
            f"BACKWATCH_STREAM_URL: {error.strerror or error}; or pass recorded OTLP by --from"
        ) from None
