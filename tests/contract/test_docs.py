"""The documents are true: links resolve, tables are the code's, commands exist, examples run."""

import contextlib
import importlib.util
import re
import runpy
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click
import pytest
import requests
from click.testing import CliRunner

from backwatch.attack.authority import Authority
from backwatch.collector import cli, names, settings
from backwatch.collector.probes import discover
from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.step import Engine, EngineConfig
from backwatch.detector.rules import rulebook
from backwatch.detector.rules import trials as rules_trials
from backwatch.detector.rules.compiled_rules import RuleSet
from backwatch.detector.rules.fields import Vocabulary
from backwatch.detector.rules.sigma import parse_rule
from backwatch.notify.outputs import Delivery, Kind
from backwatch.notify.outputs.standard_webhook import StandardWebhook
from backwatch.store.deliveries import EventRow
from tests.collector.probes.recording import watching
from tests.contract.documented import FENCE, code, example_file
from tests.detector import streams
from tests.services.http import receiver as temper
from tests.services.http.receiver import receiver
from tests.services.process import ROOT

if TYPE_CHECKING:
    from backwatch.detector import detectors

LISTED = subprocess.run(
    ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
).stdout
DOCUMENTS = sorted(ROOT / name for name in LISTED.split("\0") if name)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
ALLOWED_PREFIXES = ("BACKWATCH_TEST", "BACKWATCH_AUDIT", settings.OUTPUT_PREFIX, settings.RESOURCE_PREFIX)
every_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
tools: dict[str, Any] = runpy.run_path(str(ROOT / "tools" / "docs.py"))


def example(folder: Path, file: str) -> ModuleType:
    """Import the example of CONTRIBUTING.md that has this file's name."""
    path = folder / f"{file.partition('.')[0].partition('/')[0]}_example.py"
    path.write_text(example_file(file))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def anchors(path: Path) -> set[str]:
    """Return the anchor of a heading in a link."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}


@every_document
def test_links_resolve(path: Path) -> None:
    broken: list[str] = []
    for target in LINK.findall(FENCE.sub("", path.read_text())):
        if target.startswith(("https://", "http://")):
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        if not found.exists() or (anchor and anchor not in anchors(found)):
            broken.append(target)
    assert broken == []


@every_document
def test_tables_match_the_code(path: Path) -> None:
    assert path.read_text() == tools["regenerate"](path.read_text()), "run .venv/bin/python tools/docs.py"


@every_document
def test_no_document_names_a_machines_path(path: Path) -> None:
    assert not re.search(r"/(?:work|root|home/[a-z]+|Users/[A-Za-z]+)/", path.read_text())


@every_document
def test_every_command_in_a_document_exists(path: Path) -> None:
    text = path.read_text()
    spoken = re.findall(r"^(?:\$ |.*/)?backwatch ((?:db )?[a-z]+)\b((?: --[a-z][a-z-]*)*)", _spoken(text), re.MULTILINE)
    assert [name for name, flags in spoken if not _is_command(name.split(), flags.split())] == []
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+)\b", _spoken(text))) <= targets


def _spoken(text: str) -> str:
    """Return the code, one command a line: shell blocks without comments, and words between back-ticks."""
    blocks = [re.sub(r"#.*", "", body) for kind, body in FENCE.findall(text) if kind == "sh"]
    words = re.findall(r"`([^`]+)`", re.sub(r"\s+", " ", FENCE.sub("", text)))
    return re.sub(r" *(?:&&|\|) *", "\n", "\n".join(blocks + words))


def _is_command(words: list[str], flags: list[str]) -> bool:
    command: click.Command = cli.main
    for word in words:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), word)
        if found is None:
            return False
        command = found
    known = {option for one in command.params for option in one.opts}
    return set(flags) - {"--"} <= known


def test_help_pages_do_not_depend_on_earlier_use_of_a_command() -> None:
    before = tools["commands"]()
    command = cli.main.get_command(click.Context(cli.main), "doctor")
    assert command is not None
    vars(command)["_help_option"] = None
    CliRunner().invoke(command, ["--help"])  # by itself, as tests run it: without the names of the whole
    assert tools["commands"]() == before


@every_document
def test_every_setting_in_a_document_exists(path: Path) -> None:
    known = settings.names_of(*tools["setting_kinds"]()) | {*settings.HOUSEKEEPING}
    found = set(re.findall(r"\bBACKWATCH_[A-Z_]*[A-Z]\b", path.read_text()))
    assert {one for one in found - known if not one.startswith(ALLOWED_PREFIXES)} == set()


@every_document
def test_every_file_in_a_document_exists(path: Path) -> None:
    named = re.findall(
        r"`((?:tests|bench|tools|docs|collector|store|detector|notify|dashboard|attack)/[\w/.-]+)`", path.read_text()
    )
    shorthand = [one for one in named if not any((place / one).exists() for place in _places())]
    examples = ("error_streak.py", "error_streak.yml", "poplib.py", "plain_text.py", "moved.py")
    assert [one for one in shorthand if not one.endswith(examples)] == []


def _places() -> list[Path]:
    return [ROOT, *ROOT.glob("*/src/backwatch")]


def test_every_setting_has_a_description() -> None:
    silent = [
        f"{kind.__name__}.{name}"
        for kind in tools["setting_kinds"]()
        for name, found in tools["setting_docs"](kind).items()
        if not found and not (kind is settings.StreamSettings and name == "url")
    ]
    assert silent == []


def test_every_probe_has_a_place_in_the_readme() -> None:
    table = tools["kinds"]()
    assert [probe.label for probe in discover() if probe.label not in table] == []
    assert len({probe.label for probe in discover()}) == len(list(discover()))


def test_every_fact_of_a_probe_has_a_column_in_the_drivers_table() -> None:
    grouped = {fact for group in tools["GROUPS"].values() for fact in group}
    assert {fact for one in discover() for fact in one.facts} <= grouped


def test_the_documents_tell_every_exit_code() -> None:
    found = re.search(r"## Exit codes and messages\n(.*?)\n```", (ROOT / "docs/operations.md").read_text(), re.DOTALL)
    assert found
    codes = {value for name, value in vars(cli).items() if name.startswith("EXIT_")}
    assert codes <= {int(one) for one in re.findall(r"\b\d+\b", found[1])}


def test_decisions_are_short_and_say_why() -> None:
    pages = [path for path in DOCUMENTS if re.match(r"\d{4}-", path.name)]
    assert len(pages) == len({path.name[:4] for path in pages})
    for path in pages:
        text = path.read_text()
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"], path.name
        assert len(text.splitlines()) <= 40, path.name


def test_webhook_verification_accepts_only_backwatch_signatures() -> None:
    (text,) = code("docs/guides/webhooks.md", "python")
    place: dict[str, Any] = {}
    exec(text, place)  # noqa: S102  the document's own example
    secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
    with receiver() as one:
        output = StandardWebhook(one.url, [secret], private_hosts=["127.0.0.1"])
        output.send(Delivery(id="an-id", body=b'{"type":"backwatch.test"}', attempted_ns=1_700_000_000 * 10**9), 3)
        (got,) = one.requests
    headers = {name.lower(): value for name, value in got.headers.items()}
    assert place["verified"](got.body, headers, secret, now_s=1_700_000_010)
    assert not place["verified"](got.body + b" ", headers, secret, now_s=1_700_000_010)
    assert not place["verified"](got.body, headers, secret, now_s=1_700_009_999)
    assert not place["verified"](got.body, headers, secret[:-4] + "AAA=", now_s=1_700_000_010)


def test_the_example_of_a_rule_is_read_and_fires(tmp_path: Path) -> None:
    text, *_ = code("docs/guides/rules.md", "yaml")
    (tmp_path / "reporting-account-writes.yml").write_text(text)
    engine = make_engine(EngineConfig(), str(tmp_path))
    writes = {**streams.statement("UPDATE totals SET day = ?"), names.OPERATION: "UPDATE"}
    reads = {**streams.statement("SELECT day FROM totals"), names.OPERATION: "SELECT"}
    session = {**streams.SAFE, names.ACCOUNT: "reporting"}
    calls = [streams.Call(streams.START_NS + i, session, facts) for i, facts in enumerate((reads, writes, reads))]
    found = list(engine.step(engine.new_shard(), streams.entry(streams.records(calls))).iter_findings())
    assert [one.evidence[names.QUERY_TEXT] for one in found if one.rule.name == "reporting-account-writes"] == [
        "UPDATE totals SET day = ?"
    ]


def test_the_examples_of_filters_and_correlations_do_as_they_say(tmp_path: Path) -> None:
    for at, text in enumerate(code("docs/guides/rules.md", "yaml")):
        (tmp_path / f"{at}.yml").write_text(text)
    loaded = rulebook.read(str(tmp_path))
    assert loaded.faults == ()
    assert [one.rules for one in loaded.filters] == [("plaintext-session", "unverified-session")]
    own = [one for one in loaded.rules.rules if one.name in loaded.own]
    found = list(rules_trials.run_examples(loaded.rules, rulebook.build_vocabulary(), own))
    assert {one.rule.name for one in found} == {"reporting-account-writes", "account-refused-everywhere"}
    assert all(one.right for one in found)


def test_the_example_of_a_detector_detects(tmp_path: Path) -> None:
    kind: type[detectors.Detector] = example(tmp_path, "error_streak.py").ErrorStreak
    vocabulary = Vocabulary.of([kind])
    rule = example_file("error_streak.yml")
    engine = Engine(EngineConfig(), [kind()], RuleSet([parse_rule(rule, kind.id, vocabulary)], vocabulary))
    failing = {**streams.statement("SELECT ?"), names.ERROR_TYPE: "OperationalError"}
    calls = [streams.Call(streams.START_NS + i, streams.SAFE, failing) for i in range(52)]
    found = list(engine.step(engine.new_shard(), streams.entry(streams.records(calls, 7))).iter_findings())
    assert [one.evidence["backwatch.error.streak"] for one in found] == [50, 51, 52]


@contextlib.contextmanager
def _mailbox() -> Generator[int]:
    """A POP3 server that replies +OK to everything but RETR."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection, connection.makefile("rwb") as lines:
                lines.write(b"+OK\r\n")
                lines.flush()
                for line in lines:
                    lines.write(b"-ERR\r\n" if line.startswith(b"DELE") else b"+OK 0 0\r\n")
                    lines.flush()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(5)


def test_example_probe_records_calls_and_no_password(tmp_path: Path) -> None:
    import poplib

    kind = example(tmp_path, "poplib/__init__.py").PoplibProbe
    before = vars(poplib.POP3)["_shortcmd"]
    with _mailbox() as port, watching(kind) as recording:
        client = poplib.POP3("127.0.0.1", port, timeout=5)
        client.user("ann")
        client.pass_("hunter2")
        with pytest.raises(poplib.error_proto):
            client.dele(1)
        client.quit()
    assert vars(poplib.POP3)["_shortcmd"] is before
    assert [one.operation for one in recording.calls] == ["USER", "PASS", "DELE", "QUIT"]
    assert "hunter2" not in str([one.attributes() for one in recording.calls])
    assert kind.facts == {fact for one in recording.calls for fact in one.attributes()} - {names.BACKWATCH_CONTRACT}


def test_the_example_of_an_output_delivers(tmp_path: Path) -> None:
    kind = example(tmp_path, "plain_text.py").PlainText
    body = '{"data":{"level":"high","title":"A Title"},"type":"alert.opened"}'
    event = EventRow(id="e", kind="alert.opened", alert_id="a", level_rank=3, body=body)
    with receiver() as one:
        output = kind(one.url, ["127.0.0.1"])
        delivery = Delivery(id=event.id, body=output.render(event), attempted_ns=1)
        assert output.send(delivery, 3).kind is Kind.DELIVERED
        assert [got.body for got in one.requests] == [b"high A Title"]
        one.answer = temper.status("503 Away")
        assert output.send(delivery, 3).kind is Kind.RETRY
    assert [*kind.from_settings(settings.NotifySettings())] == []


def test_the_example_of_an_attack_turns(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    server = example(tmp_path, "moved.py").Moved(authority)
    server.start()
    try:
        context = ssl.create_default_context(cafile=str(authority.ca_file))
        assert context.verify_mode is ssl.CERT_REQUIRED

        def answer() -> requests.Response:
            url = f"https://localhost:{server.port}/"
            return requests.get(url, verify=str(authority.ca_file), allow_redirects=False, timeout=5)

        assert answer().status_code == 204
        server.turn()
        assert answer().headers["Location"] == "http://10.0.0.1/"
    finally:
        server.stop()
