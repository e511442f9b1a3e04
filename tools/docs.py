"""Generate the tables of the documents from the code: ``.venv/bin/python tools/docs.py`` (``--check``).

A table stands between ``<!-- table: NAME -->`` and ``<!-- /table -->``. This script replaces the text between the two.
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
from backwatch.collector import facts as registry
from backwatch.collector.probes import Probe, discover
from backwatch.collector.runtime.bounds import Bound
from backwatch.detector import detectors
from backwatch.detector.rules import rulebook
from backwatch.detector.rules.field_meanings import list_fields

ROOT = Path(__file__).parents[1]
MEMBERS = ("collector", "store", "detector", "notify", "dashboard")
TABLE = re.compile(r"(<!-- table: (?P<name>[a-z-]+) -->\n).*?(<!-- /table -->)", re.DOTALL)
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
"""Probes by kind of service, each with the display name of its driver."""
GROUPS = {kind: frozenset(fact.name for fact in registry.REPORTED if fact.kind == kind) for kind in registry.KINDS}
"""Columns of the drivers' table, each with the facts that a dot in it may represent."""
CANARIES_IN_ROWS = {"psycopg", "pymysql"}
"""Probes that look for canaries in rows. Probes that report a payload's format look for them in payloads."""
OTHER_KEYS = {"pymemcache", "nats"}
"""Probes that compare a response's key with the requested one."""
ALWAYS = {fact.name for fact in registry.REPORTED if fact.kind in ("app", "caller")}
"""Facts that the collector adds to calls of every driver."""
DOCUMENTS = {"urllib3"}
"""Probes that inspect XML and JSON."""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def _probes() -> list[type[Probe]]:
    return list(discover())


def rules() -> str:
    """Return the table of rules: name, level, title."""
    order = ("critical", "high", "medium", "low", "informational")
    found = sorted(rulebook.load().rules, key=lambda rule: (order.index(rule.level), rule.name))
    return _table(("rule", "level", "title"), [(f"`{rule.name}`", rule.level, rule.title) for rule in found])


def blind_spots() -> str:
    """Return the table of blind spots by rule."""
    found = [(f"`{rule.name}`", " ".join(rule.blind_spots.split())) for rule in rulebook.load().rules]
    return _table(("rule", "blind spots"), found)


def kinds() -> str:
    """Return the table of watched drivers by kind of service."""
    found = {probe.name for probe in _probes()}
    return _table(
        ("", "watched"),
        [
            (kind, " · ".join(title for name, title in titles.items() if name in found))
            for kind, titles in KINDS.items()
        ],
    )


def _titles() -> dict[str, str]:
    return {name: title for titles in KINDS.values() for name, title in titles.items()}


def _facts(probe: type[Probe]) -> frozenset[str]:
    """Return the facts of this driver's calls: the probe's own, and the signs that the collector adds.

    Indicators in an error's text may come with every driver, and so are not among them.
    """
    looks_in = _looks_for_canaries(probe) or probe.name in OTHER_KEYS | DOCUMENTS
    added = {names.RESPONSE_INDICATORS: looks_in, names.QUERY_SIGNS: names.QUERY_TEXT in probe.facts}
    return probe.facts | {fact for fact, is_added in added.items() if is_added}


def _looks_for_canaries(probe: type[Probe]) -> bool:
    return names.PAYLOAD_FORMAT in probe.facts or probe.name in CANARIES_IN_ROWS


def drivers() -> str:
    """Return the table of drivers: groups of facts that each reports, and its watched versions."""
    probes, rows = {probe.name: probe for probe in _probes()}, list[tuple[str, ...]]()
    for name, title in _titles().items():
        if name in probes:
            versions = ", ".join(f"`{version}`" for version in probes[name].distributions) or "the standard library's"
            dots = ("●" if _facts(probes[name]) & group else "" for group in GROUPS.values())
            rows.append((f"**{title}**", *dots, versions))
    return _table(("", *GROUPS, "versions"), rows)


def facts() -> str:
    """Return the table of facts: label, type, where each is reported, and by which drivers."""
    found, titles = {probe.name: _facts(probe) for probe in _probes()}, _titles()
    rows: list[tuple[str, ...]] = []
    for fact in sorted(registry.REPORTED, key=lambda fact: fact.name):
        reporting = [titles[name] for name, facts in found.items() if fact.name in facts]
        missing = [titles[name] for name, facts in found.items() if fact.name not in facts]
        by = ", ".join(reporting)
        if fact.name == names.RESPONSE_INDICATORS:
            by = _indicators()
        elif not reporting:
            by = "the collector, with every call" if fact.name in ALWAYS else "third-party instrumentations"
        elif len(missing) < len(reporting):
            by = f"all but {', '.join(missing)}" if missing else "all"
        rows.append((f"`{fact.name}`", fact.label, fact.type, fact.scope, by))
    return _table(("fact", "label", "type", "reported per", "reported by"), rows)


def _indicators() -> str:
    """Return which probes report which response indicators."""
    canaries = {probe.name for probe in _probes() if _looks_for_canaries(probe)}
    groups = {"canaries": canaries, "other keys": OTHER_KEYS, "documents": DOCUMENTS}
    listed = [f"{group}: {', '.join(_titles()[name] for name in sorted(found))}" for group, found in groups.items()]
    return f"error texts: all, where the driver raises them; {'; '.join(listed)}"


def setting_docs(kind: type[Any]) -> dict[str, str]:
    """Return each field's docstring, which stands under it."""
    body = ast.parse(inspect.getsource(kind)).body[0]
    assert isinstance(body, ast.ClassDef)  # noqa: S101  what getsource gives for a class
    found: dict[str, str] = {}
    for statement, below in zip(body.body, [*body.body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            documented = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
            found[statement.target.id] = " ".join(str(below.value.value).split()) if documented else ""  # type: ignore[union-attr]
    return found


def settings_table() -> str:
    """Return the table of settings: default and docstring. A setting that two members read stands once."""
    rows: dict[str, tuple[str, str, str]] = {}
    for kind in settings.ALL:
        docs = setting_docs(kind)
        for field in fields(kind):
            env, default = field.metadata["env"], field.default
            shown = ",".join(default) if isinstance(default, tuple) else str(default).removesuffix(".0")
            text = docs[field.name].replace("``", "`")
            if env not in rows or not rows[env][2]:
                rows[env] = (f"`{env}`", f"`{shown}`" if shown else "", text)
    return _table(("setting", "default", "meaning"), list(rows.values()))


def signs() -> str:
    """Return the table of injection signs, with their comments in ``names.py``."""
    return _table(("sign", "in the raw statement"), _words_of("SIGNS"))


def answer_words() -> str:
    """Return the table of response indicators, with their comments in ``names.py``."""
    return _table(("indicator", "in the response"), _words_of("ANSWER_WORDS"))


def form_words() -> str:
    """Return the table of the words that make up a message's form, with their comments."""
    return _table(("word", "the message"), [*_words_of("FORM_VALUES"), *_words_of("FORM_PARTS")])


def _words_of(name: str) -> list[tuple[str, str]]:
    source = inspect.getsource(names)
    listed = source[source.index(f"\n{name}: Final") :].partition("\n)\n")[0]
    found = re.findall(r'^    "([a-z-]+)", +# (.+)$', listed, re.MULTILINE)
    return [(f"`{word}`", text) for word, text in found]


def rule_fields() -> str:
    """Return the table of fields, by what rules over them are over."""
    rows = [
        (
            f"`{field.field}`",
            field.over,
            field.kind,
            f"`{field.detector}`" if field.detector else "reported",
            field.meaning,
        )
        for field in list_fields(detectors.discover())
    ]
    return _table(("field", "over", "type", "comes from", "meaning"), rows)


def limits() -> str:
    """Return the table of declared bounds, by member."""
    rows = [
        [member, bound.name, f"{_limit(bound.limit)} {bound.unit}", bound.at_limit, bound.counted_as]
        for member, bounds in declared_bounds()
        for bound in bounds
    ]
    return _table(["member", "structure", "bound", "at the bound", "shown by"], rows)


def declared_bounds() -> list[tuple[str, Sequence[Bound]]]:
    """Return member and ``BOUNDS`` of each module that declares some, in the order of their files."""
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
    return ", ".join(f"{value:,}" for value in limit)


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
    """Return the paths of all documents."""
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def regenerate(text: str) -> str:
    """Return the document with its tables regenerated."""
    return TABLE.sub(lambda found: found[1] + TABLES[found["name"]]() + found[3], text)


def main() -> int:
    """Write what has changed; with ``--check`` only list it."""
    stale = [path for path in documents() if regenerate(path.read_text()) != path.read_text()]
    for path in stale:
        print(path.relative_to(ROOT))
        if "--check" not in sys.argv[1:]:
            path.write_text(regenerate(path.read_text()))
    return 1 if stale and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
