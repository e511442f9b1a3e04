"""The chapter on backup and restore in ``docs/operations.md``, followed to the letter on real servers."""

import os
import re
import secrets
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream import Message
from backwatch.collector.stream.factory import open_publisher
from backwatch.store import decisions, queries, tables
from backwatch.store.connect import StoreUnavailable, open_store
from backwatch.store.health import health
from backwatch.store.rules_meta import read_rules
from backwatch.store.transactions import reading
from backwatch.store.views import AlertFilter
from tests.detector import streams
from tests.notify.conftest import settings_of
from tests.services.commits import Owner, make_raised
from tests.services.databases import postgresql
from tests.services.http.receiver import receiver
from tests.services.process import ROOT
from tests.services.server import Server
from tests.system.commands import BACKWATCH, environment, run_command, run_in_background

CHAPTER = ROOT / "docs" / "operations.md"


def commands(heading: str, language: str = "sh") -> list[str]:
    """Return the code blocks under a heading, in order."""
    _, _, rest = CHAPTER.read_text().partition(f"\n{heading}\n")
    section = re.split(r"\n##", rest, maxsplit=1)[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


def follow(block: str, folder: Path, settings: dict[str, str]) -> None:
    path = os.pathsep.join([str(Path(BACKWATCH).parent), *postgresql.programs(), os.environ["PATH"]])
    done = subprocess.run(
        ["sh", "-e", "-c", block], cwd=folder, env=environment(settings) | {"PATH": path}, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done


def publish(url: str, first: int, last: int) -> None:
    """Return calls over plaintext, each to a different server: an alert each."""
    publisher = open_publisher(StreamSettings(url=url))
    for number in range(first, last):
        facts = {**streams.SAFE, names.SERVER_ADDRESS: f"db{number}.internal", names.TLS_ESTABLISHED: False,
                 names.TLS_VERIFIED: "none"}  # fmt: skip
        call = streams.Call(time.time_ns(), facts, streams.statement("SELECT ?"))
        publisher.publish(names.TOPIC_CALLS, [Message(streams.encode([call], number))], 10)
    publisher.close(5)


def content(url: str) -> dict[str, Any]:
    """Return the data that must be the same after a restore."""
    engine = open_store(url, must_exist=True)
    queries = {
        "alerts": sa.select(tables.alert.c.id, tables.alert.c.rule, tables.alert.c.count, tables.alert.c.episode),
        "episodes": sa.select(tables.episode.c.alert_id, tables.episode.c.number),
        "occurrences": sa.select(tables.occurrence.c.alert_id, tables.occurrence.c.number, tables.occurrence.c.span_id),
        "events": sa.select(tables.event.c.id, tables.event.c.kind),
        "calls": sa.select(tables.resource.c.endpoint, tables.resource.c.calls),
    }
    with reading(engine) as connection:
        found: dict[str, Any] = {name: sorted(map(tuple, connection.execute(q))) for name, q in queries.items()}
        found["losses"] = health(connection).losses
    engine.dispose()
    return found


def destroy(url: str) -> None:
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        path.write_bytes(b"\0" * 100_000)
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        return
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.execute(sa.text("drop table backwatch_delivery, backwatch_version"))
        connection.execute(sa.text("update backwatch_shard set seq = 7, next_offset = 1000000"))
        connection.execute(sa.text("delete from backwatch_alert"))
    engine.dispose()


@pytest.mark.slow
@pytest.mark.parametrize("heading", ["### A SQLite store", "### A PostgreSQL store"])
def test_chapter_brings_back_every_alert_once(
    request: pytest.FixtureRequest, tmp_path: Path, kafka_without_topics: Server, heading: str
) -> None:
    in_sqlite = "SQLite" in heading
    url = f"sqlite:///{tmp_path / 'store.db'}" if in_sqlite else request.getfixturevalue("postgresql_database")
    settings = {
        "BACKWATCH_STREAM_URL": kafka_without_topics.url, "BACKWATCH_STORE_URL": url,
        "BACKWATCH_STREAM_PARTITIONS": "1", "BACKWATCH_DETECTOR_GROUP": f"t-{secrets.token_hex(6)}",
    }  # fmt: skip
    backup, restore = commands(heading)
    ids: list[set[str]] = []
    with receiver() as hook:
        deliver = settings_of(url, hook)
        with run_in_background(tmp_path, "detect", "--no-router", **settings) as detector:
            detector.wait_for_output("detecting")
            publish(kafka_without_topics.url, 0, 5)
            detector.until(lambda: len(content(url)["calls"]) == 5, "the first calls were not judged")
            follow(backup, tmp_path, settings)
            publish(kafka_without_topics.url, 5, 10)
            detector.until(lambda: len(content(url)["calls"]) == 10, "the second calls were not judged")
            assert run_command("notify", "--once", **deliver).code == 0
            ids.append(set(hook.ids))
            detector.process.kill()
        before = content(url)
        destroy(url)
        follow(restore, tmp_path, settings)
        assert len(content(url)["calls"]) == 5
        with run_in_background(tmp_path, "detect", "--no-router", **settings) as detector:
            detector.until(lambda: len(content(url)["calls"]) == 10, "what came after the backup is not judged again")
            assert detector.stop() == 143
        assert run_command("notify", "--once", **deliver).code == 0
        ids.append(set(hook.ids))
    assert content(url) == before
    assert before["losses"] == {}
    assert 10 in Counter(rule for _, rule, _, _ in before["alerts"]).values(), before["alerts"]
    assert ids[0] == ids[1] == {event for event, _ in before["events"]}


def test_role_for_readers_reads_the_pages_and_nothing_else(postgresql_database: str, tmp_path: Path) -> None:
    (statements,) = commands("## The store's database", "sql")
    suffix = secrets.token_hex(4)  # roles belong to the whole server
    for role in ("backwatch_owner", "backwatch_reader"):
        statements = statements.replace(role, f"{role}_{suffix}")
    administrator = sa.create_engine(postgresql_database.replace("postgresql://", "postgresql+psycopg://"))
    with administrator.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE alert (id integer)")
        for statement in filter(str.strip, statements.split(";")):
            connection.exec_driver_sql(statement)
    at = postgresql_database.rpartition("@")[2]
    owner, reader = (f"postgresql://backwatch_{name}_{suffix}:change-me-{number}@{at}"
                     for number, name in ((1, "owner"), (2, "reader")))  # fmt: skip
    try:
        assert run_command("db", "status", BACKWATCH_STORE_URL=reader).code == 69
        assert run_command("db", "upgrade", BACKWATCH_STORE_URL=owner).code == 0
        _raise_an_alert(owner)
        assert "shard 0: commit 1" in run_command("db", "status", BACKWATCH_STORE_URL=reader).out
        assert run_command("profile", "show", BACKWATCH_STORE_URL=reader).code == 0
        refused = run_command("db", "prune", BACKWATCH_STORE_URL=reader)
        assert (refused.code, refused.out) in {(69, ""), (0, "rollup 0, event 0, quarantine 0, alert 0\n")}
        _look_at_every_page(reader)
    finally:
        with administrator.begin() as connection:
            connection.exec_driver_sql("DROP SCHEMA backwatch CASCADE")
            for name in ("owner", "reader"):
                connection.exec_driver_sql(f"DROP ROLE backwatch_{name}_{suffix}")
        administrator.dispose()


def _raise_an_alert(url: str) -> None:
    engine = open_store(url, must_exist=True)
    Owner(engine).commit(make_raised())
    engine.dispose()


def _look_at_every_page(url: str) -> None:
    """Run the queries of the dashboard's pages, and a decision, which a reader may not enter."""
    engine = open_store(url, must_exist=True)
    with reading(engine) as connection:
        queries.overview(connection)
        queries.health(connection)
        read_rules(connection)
        (alert,) = queries.list_alerts(connection, AlertFilter()).rows
        assert queries.get_alert(connection, alert.id)
        assert queries.list_resources(connection, now_ns=time.time_ns()) == []
    with pytest.raises(StoreUnavailable, match="permission denied"):
        decisions.decide(engine, alert.id, "close", by="a reader", now_ns=time.time_ns())
    engine.dispose()
