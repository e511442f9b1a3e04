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
from typing import Any, cast, get_args

import click

from backwatch.collector import cli, names, settings
from backwatch.collector import facts as registry
from backwatch.collector.probes import Probe, ServiceKind, discover
from backwatch.collector.runtime.bounds import Bound
from backwatch.detector import detectors
from backwatch.detector.rules import rulebook
from backwatch.detector.rules.field_meanings import list_fields
from backwatch.notify import outputs
from backwatch.resource.checks import CHECKS
from backwatch.resource.systems import discover as list_drivers

ROOT = Path(__file__).parents[1]
MEMBERS = ("collector", "store", "detector", "notify", "dashboard")
TABLE = re.compile(r"(<!-- table: (?P<name>[a-z-]+) -->\n).*?(<!-- /table -->)", re.DOTALL)
KINDS = get_args(ServiceKind)
DOCUMENT_INDICATORS = {"xml-entities", "xml-external", "prompt-injection-in-response", "deep"}
"""Response indicators of a probe that inspects XML and JSON."""
GROUPS = {kind: frozenset(fact.name for fact in registry.REPORTED if fact.kind == kind) for kind in registry.KINDS}
"""Columns of the drivers' table, each with the facts that a dot in it may represent."""
ALWAYS = {fact.name for fact in registry.REPORTED if fact.kind in ("app", "caller")}
"""Facts that the collector adds to calls of every driver."""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def _probes() -> list[type[Probe]]:
    """Return all probes, by kind of service and display name."""
    return sorted(discover(), key=lambda probe: (KINDS.index(probe.service_kind), probe.label.casefold()))


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
    found = [(kind, " · ".join(probe.label for probe in _probes() if probe.service_kind == kind)) for kind in KINDS]
    return _table(("", "watched"), found)


def _facts(probe: type[Probe]) -> frozenset[str]:
    """Return the facts of this driver's calls: the probe's own, and the signs that the collector adds.

    Indicators in an error's text may come with every driver, and so are not among them.
    """
    added = {names.RESPONSE_INDICATORS: bool(_indicators_of(probe)), names.QUERY_SIGNS: names.QUERY_TEXT in probe.facts}
    return probe.facts | {fact for fact, is_added in added.items() if is_added}


def _indicators_of(probe: type[Probe]) -> frozenset[str]:
    """Return the response indicators of a probe; one that reports a payload's format finds canaries in payloads."""
    return probe.indicators | ({"canary"} if names.PAYLOAD_FORMAT in probe.facts else frozenset())


def drivers() -> str:
    """Return the table of drivers: groups of facts that each reports, and its watched versions."""
    rows: list[tuple[str, ...]] = []
    for probe in _probes():
        versions = ", ".join(f"`{version}`" for version in probe.distributions) or "the standard library's"
        dots = ("●" if _facts(probe) & group else "" for group in GROUPS.values())
        rows.append((f"**{probe.label}**", *dots, versions))
    return _table(("", *GROUPS, "versions"), rows)


def facts() -> str:
    """Return the table of facts: label, type, where each is reported, and by which drivers."""
    found = {probe.label: _facts(probe) for probe in _probes()}
    rows: list[tuple[str, ...]] = []
    for fact in sorted(registry.REPORTED, key=lambda fact: fact.name):
        reporting = [label for label, facts in found.items() if fact.name in facts]
        missing = [label for label, facts in found.items() if fact.name not in facts]
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
    groups = {"canaries": {"canary"}, "other keys": {"other-key"}, "documents": DOCUMENT_INDICATORS}
    listed = [
        f"{group}: {', '.join(probe.label for probe in _probes() if _indicators_of(probe) & words)}"
        for group, words in groups.items()
    ]
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


def setting_kinds() -> list[type[Any]]:
    """Return the settings of all parts and of all outputs."""
    return [*settings.ALL, *(output.settings for output in outputs.discover() if output.settings)]


def settings_table() -> str:
    """Return the table of settings: default and docstring. A setting that two members read stands once."""
    rows: dict[str, tuple[str, str, str]] = {}
    for kind in setting_kinds():
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
    return _table(("indicator", "in the response"), _words_of("INDICATOR_WORDS"))


def form_words() -> str:
    """Return the table of the words that make up a message's form, with their comments."""
    return _table(("word", "the message"), [*_words_of("FORM_VALUES"), *_words_of("FORM_PARTS")])


def kind_words() -> str:
    """Return the table of the kinds of sensitive data, with their comments."""
    return _table(("kind", "the call carries"), _words_of("DATA_KINDS"))


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
    options: dict[str, Any] = {"terminal_width": 100, "max_content_width": 100, **cli.main.context_settings}
    context = click.Context(command, info_name=path, **options)
    vars(command)["_help_option"] = None  # click keeps that of the first context: without -h, if a test ran it alone
    yield path, "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None  # noqa: S101  it was listed
            yield from _help_pages(below, f"{path} {name}")


def resource_checks() -> str:
    """Return the table of an attached resource's settings."""

    def shown(value: object) -> str:
        if isinstance(value, tuple):
            return ", ".join(f"`{each}`" for each in cast("tuple[str, ...]", value)) or "none"
        return f"`{str(value).lower() if isinstance(value, bool) else value}`" if value != "" else "none"

    rows = [
        (f"`{check.name}`", shown(check.default), ", ".join(f"`{choice}`" for choice in check.choices), check.stops)
        for check in CHECKS.values()
    ]
    return _table(("setting", "default", "values", "what the default stops"), rows)


def resource_drivers() -> str:
    """Return the table of attachable services, their client libraries and what those cannot keep."""
    found = sorted(list_drivers(), key=lambda driver: (driver.system, driver.rank))
    rows = [
        (
            ", ".join(f"`{scheme}://`" for scheme in driver.schemes), driver.module,
            ", ".join(f"`{kind}()`" for kind in driver().kinds()),
            "; ".join(f"`{name}`: {reason}" for name, reason in driver.cannot.items()),
        )
        for driver in found
    ]  # fmt: skip
    return _table(("URL", "library", "opens", "cannot keep"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "resource-checks": resource_checks, "resource-drivers": resource_drivers,
    "rules": rules, "blind-spots": blind_spots, "kinds": kinds, "drivers": drivers, "facts": facts,
    "settings": settings_table, "signs": signs, "answer-words": answer_words, "form-words": form_words,
    "kind-words": kind_words,
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
