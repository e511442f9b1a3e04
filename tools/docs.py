"""Writes the tables of the documents that say what the code says: ``.venv/bin/python tools/docs.py`` (``--check``).

A table stands between ``<!-- table: NAME -->`` and ``<!-- /table -->``; what is between them is made here.
"""

import ast
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from backwatch.collector import cli, names, settings
from backwatch.collector.probes import Probe, discover
from backwatch.collector.runtime.bounds import Bound
from backwatch.detector import detectors
from backwatch.detector.rules import rulebook
from backwatch.detector.rules.field_meanings import meanings

ROOT = Path(__file__).parents[1]
MEMBERS = ("collector", "store", "detector", "notify", "dashboard")
PLACE = re.compile(r"(<!-- table: (?P<name>[a-z-]+) -->\n).*?(<!-- /table -->)", re.DOTALL)
KINDS = {
    "SQL databases": {
        "psycopg": "psycopg 3", "psycopg2": "psycopg2", "asyncpg": "asyncpg", "pymysql": "PyMySQL",
        "MySQLdb": "mysqlclient", "mysql": "mysql-connector-python", "sqlite3": "sqlite3", "pytds": "python-tds",
        "clickhouse_driver": "clickhouse-driver", "clickhouse_connect": "clickhouse-connect",
        "cassandra": "cassandra-driver", "sqlalchemy": "SQLAlchemy", "django": "Django",
    },
    "Caches and documents": {
        "redis": "redis", "valkey": "valkey", "pymemcache": "pymemcache", "pymongo": "PyMongo",
        "elasticsearch": "elasticsearch", "opensearchpy": "opensearch-py",
    },
    "Queues": {
        "kafka": "kafka-python", "aiokafka": "aiokafka", "confluent_kafka": "confluent-kafka", "pika": "pika",
        "aiormq": "aio-pika, aiormq", "kombu": "Celery, kombu", "nats": "nats-py",
    },
    "HTTP, clouds, RPC": {
        "urllib3": "requests, urllib3", "http": "http.client, urllib", "httpx": "httpx", "httpx2": "httpx2",
        "aiohttp": "aiohttp", "botocore": "boto3, botocore", "grpc": "grpcio",
    },
    "Mail, files, directories": {
        "smtplib": "smtplib", "imaplib": "imaplib", "poplib": "poplib", "ftplib": "ftplib", "ldap3": "ldap3",
        "urllib": "urllib's file: URLs",
    },
}  # fmt: skip
"""Probes by what they speak to, and what people call their drivers."""
GROUPS = {
    "address": (
        names.DB_SYSTEM, names.SYSTEM, names.DB_NAMESPACE, names.SERVER_ADDRESS, names.SERVER_PORT,
        names.MESSAGING_SYSTEM, names.MESSAGING_DESTINATION, names.RPC_SYSTEM, names.TRANSPORT,
    ),
    "TLS": (names.TLS_ESTABLISHED, names.TLS_VERSION, names.TLS_CIPHER),
    "asked for": (names.TLS_REQUESTED, names.TLS_REQUESTED_EXPLICIT, names.STARTTLS_OFFERED),
    "verified": (names.TLS_VERIFIED,),
    "certificate": (
        names.CERT_SHA256, names.CERT_ISSUER, names.CERT_SUBJECT, names.CERT_NOT_BEFORE, names.CERT_NOT_AFTER,
    ),
    "peer": (names.PEER_ADDRESS, names.PEER_PORT),
    "account": (names.ACCOUNT, names.ACCOUNT_SUPERUSER),
    "login": (names.AUTH_METHOD,),
    "version": (names.SERVER_VERSION,),
    "identity": (names.SERVER_ID,),
    "statement": (
        names.QUERY_TEXT, names.STATEMENT, names.OPERATION, names.HTTP_METHOD, names.QUERY_SIGNS, names.URL_SECRET,
    ),
    "bytes": (names.BYTES_SENT, names.BYTES_RECEIVED, names.BYTES_ESTIMATED),
    "rows": (names.ROWS_RETURNED, names.ROWS_AFFECTED),
    "errors": (names.ERROR_TYPE, names.STATUS_CODE, names.HTTP_STATUS),
    "leads to": (names.REDIRECT_TARGET, names.TOPOLOGY),
    "content": (
        names.LOCAL_INFILE, names.LOCAL_INFILE_FILE, names.PAYLOAD_FORMAT, names.PAYLOAD_GLOBALS, names.PAYLOAD_WIRE,
        names.PAYLOAD_SIZE, names.REDELIVERED, names.MESSAGE_FORMS, names.RESPONSE_INDICATORS,
    ),
    "notices": (names.NOTICES,),
}  # fmt: skip
"""Columns of the drivers' table, each with the facts that a dot in it may stand for."""
CANARIES_IN_ROWS = {"psycopg", "pymysql"}
"""Probes that look for canaries in rows; whatever tells a payload's format looks for them there."""
OTHER_KEYS = {"pymemcache", "nats"}
"""Probes that hold an answer's key against the one that was asked for."""
DOCUMENTS = {"urllib3"}
"""Probes that look into XML and JSON."""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def _probes() -> list[type[Probe]]:
    return list(discover())


def rules() -> str:
    """Every rule: its name, level and title."""
    order = ("critical", "high", "medium", "low", "informational")
    found = sorted(rulebook.load().rules, key=lambda one: (order.index(one.level), one.name))
    return _table(("rule", "level", "what it says"), [(f"`{one.name}`", one.level, one.title) for one in found])


def blind_spots() -> str:
    """What each rule cannot see, in its own words."""
    found = [(f"`{one.name}`", " ".join(one.blind_spots.split())) for one in rulebook.load().rules]
    return _table(("rule", "what it cannot see"), found)


def kinds() -> str:
    """Every driver that is watched, by what it speaks to."""
    here = {one.name for one in _probes()}
    return _table(
        ("", "watched"),
        [(kind, " · ".join(title for name, title in told.items() if name in here)) for kind, told in KINDS.items()],
    )


def _titles() -> dict[str, str]:
    return {name: title for told in KINDS.values() for name, title in told.items()}


def _facts(probe: type[Probe]) -> frozenset[str]:
    """What comes with the calls of this driver: its probe's facts, and the signs that the collector adds to them.

    Signs of an error's text may come with every driver, and so are not among them.
    """
    looks_in = _looks_for_canaries(probe) or probe.name in OTHER_KEYS | DOCUMENTS
    added = {names.RESPONSE_INDICATORS: looks_in, names.QUERY_SIGNS: names.QUERY_TEXT in probe.facts}
    return probe.facts | {fact for fact, told in added.items() if told}


def _looks_for_canaries(probe: type[Probe]) -> bool:
    return names.PAYLOAD_FORMAT in probe.facts or probe.name in CANARIES_IN_ROWS


def drivers() -> str:
    """Every driver: the versions that are watched, and which groups of facts it tells."""
    probes, rows = {one.name: one for one in _probes()}, list[tuple[str, ...]]()
    for name, title in _titles().items():
        if name in probes:
            versions = ", ".join(f"`{one}`" for one in probes[name].distributions) or "the standard library's"
            dots = ("●" if _facts(probes[name]) & set(group) else "" for group in GROUPS.values())
            rows.append((f"**{title}**", *dots, versions))
    return _table(("", *GROUPS, "versions"), rows)


def facts() -> str:
    """Every fact, and who tells it."""
    found, titles = {one.name: _facts(one) for one in _probes()}, _titles()
    rows: list[tuple[str, str]] = []
    for fact in sorted({fact for facts in found.values() for fact in facts}):
        told = [titles[name] for name, facts in found.items() if fact in facts]
        silent = [titles[name] for name, facts in found.items() if fact not in facts]
        short = "all" if not silent else f"all but {', '.join(silent)}" if len(silent) < len(told) else ", ".join(told)
        rows.append((f"`{fact}`", _answer_signs() if fact == names.RESPONSE_INDICATORS else short))
    return _table(("fact", "told by"), rows)


def _answer_signs() -> str:
    """Who tells which signs of an answer."""
    canaries = {one.name for one in _probes() if _looks_for_canaries(one)}
    groups = {"canaries": canaries, "other keys": OTHER_KEYS, "documents": DOCUMENTS}
    listed = [f"{what}: {', '.join(_titles()[one] for one in sorted(found))}" for what, found in groups.items()]
    return f"of an error's text: all, where the driver raises it; {'; '.join(listed)}"


def setting_docs(kind: type[Any]) -> dict[str, str]:
    """Field to the docstring under it."""
    body = ast.parse(inspect.getsource(kind)).body[0]
    assert isinstance(body, ast.ClassDef)  # noqa: S101  what getsource gives for a class
    found: dict[str, str] = {}
    for one, below in zip(body.body, [*body.body[1:], None], strict=True):
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
            told = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
            found[one.target.id] = " ".join(str(below.value.value).split()) if told else ""  # type: ignore[union-attr]
    return found


def settings_table() -> str:
    """Every setting, its default, and its docstring; one that two parts read stands once."""
    rows: dict[str, tuple[str, str, str]] = {}
    for kind in settings.ALL:
        told = setting_docs(kind)
        for one in fields(kind):
            env, default = one.metadata["env"], one.default
            shown = ",".join(default) if isinstance(default, tuple) else str(default).removesuffix(".0")
            text = told[one.name].replace("``", "`")
            if env not in rows or not rows[env][2]:
                rows[env] = (f"`{env}`", f"`{shown}`" if shown else "", text)
    return _table(("setting", "default", "meaning"), list(rows.values()))


def signs() -> str:
    """The closed list of a statement's signs, with the comment that stands beside each in ``names.py``."""
    return _table(("sign", "what the raw form showed"), _words_of("SIGNS"))


def answer_words() -> str:
    """The closed list of an answer's signs, likewise."""
    return _table(("sign", "what the answer showed"), _words_of("ANSWER_WORDS"))


def form_words() -> str:
    """Of what a message's form is made, from the comments beside them."""
    return _table(("word", "the message"), [*_words_of("FORM_VALUES"), *_words_of("FORM_PARTS")])


def _words_of(name: str) -> list[tuple[str, str]]:
    source = inspect.getsource(names)
    listed = source[source.index(f"\n{name}: Final") :].partition("\n)\n")[0]
    found = re.findall(r'^    "([a-z-]+)", +# (.+)$', listed, re.MULTILINE)
    return [(f"`{word}`", text) for word, text in found]


def rule_fields() -> str:
    """What a rule may read, by what it is over."""
    rows = [
        (f"`{one.field}`", one.over, one.kind, f"`{one.detector}`" if one.detector else "told", one.meaning)
        for one in meanings(detectors.discover())
    ]
    return _table(("field", "over", "kind", "comes from", "meaning"), rows)


def limits() -> str:
    """Every declared bound, by member."""
    rows = [
        [member, one.name, f"{_limit(one.limit)} {one.unit}", one.at_limit, one.counted_as]
        for member, bounds in declared_bounds()
        for one in bounds
    ]
    return _table(["member", "structure", "bound", "at the bound", "shown by"], rows)


def declared_bounds() -> list[tuple[str, Sequence[Bound]]]:
    """Member and ``BOUNDS`` of each module that declares some, in the order of their files."""
    found: list[tuple[str, Sequence[Bound]]] = []
    for member in MEMBERS:
        source = ROOT / member / "src"
        for path in sorted(source.rglob("*.py")):
            if re.search(r"^BOUNDS\b", path.read_text(), re.MULTILINE):
                module = importlib.import_module(".".join(path.relative_to(source).with_suffix("").parts))
                found.append((member, module.BOUNDS))
    return found


def _limit(limit: float | str | Sequence[float]) -> str:
    if isinstance(limit, str):
        return limit
    if isinstance(limit, (int, float)):
        return f"{limit:,}"
    return ", ".join(f"{one:,}" for one in limit)


def commands() -> str:
    """Return the help page of every command and sub-command."""
    pages = [f"## {path}\n\n```text\n{text}\n```\n" for path, text in _help_pages(cli.main, "backwatch")]
    return "\n" + "\n".join(pages) + "\n"


def _help_pages(command: click.Command, path: str) -> Iterator[tuple[str, str]]:
    context = click.Context(command, info_name=path, terminal_width=100, max_content_width=100)
    yield path, "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None  # noqa: S101  it was listed
            yield from _help_pages(below, f"{path} {name}")


TABLES: dict[str, Callable[[], str]] = {
    "rules": rules, "blind-spots": blind_spots, "kinds": kinds, "drivers": drivers, "facts": facts,
    "settings": settings_table, "signs": signs, "answer-words": answer_words, "form-words": form_words,
    "rule-fields": rule_fields,
    "limits": limits, "commands": commands,
}  # fmt: skip


def documents() -> list[Path]:
    """Every document of the project."""
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def written(text: str) -> str:
    """The document with its tables as the code has them now."""
    return PLACE.sub(lambda found: found[1] + TABLES[found["name"]]() + found[3], text)


def main() -> int:
    """Writes what has changed; with ``--check`` only tells."""
    stale = [path for path in documents() if written(path.read_text()) != path.read_text()]
    for path in stale:
        print(path.relative_to(ROOT))
        if "--check" not in sys.argv[1:]:
            path.write_text(written(path.read_text()))
    return 1 if stale and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
