"""``backwatch run`` and ``opentelemetry-instrument``, from the shell to the stream, and settings they leave alone."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream.factory import ensure_topics, open_consumer
from tests.services.process import free_port
from tests.services.server import Server

if TYPE_CHECKING:
    from backwatch.collector.stream import Record

BIN = Path(sys.executable).parent
APP = """
import sqlite3, sys
connection = sqlite3.connect("shop.db")
connection.execute("SELECT 1 + 'secret'").fetchall()
print("done")
"""


@pytest.fixture
def shell(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command in a folder with ``app.py``, its stream beside it."""
    (tmp_path / "app.py").write_text(APP)

    def shell(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        variables = {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "BACKWATCH_STREAM_URL": f"sqlite:///{tmp_path}/stream.db",
            **environment,
        }
        return subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=60)

    return shell


def statements(folder: Path) -> list[str]:
    """Return the stream's statements, without the calls that report the number of fetched rows."""
    if not (folder / "stream.db").exists():
        return []
    settings = StreamSettings(url=f"sqlite:///{folder}/stream.db")
    with closing(open_consumer(settings, names.TOPIC_CALLS, "test")) as consumer:
        records = consumer.poll(0)
    resources = [one for record in records for one in ExportTraceServiceRequest.FromString(record.value).resource_spans]
    spans = [span for one in resources for scope in one.scope_spans for span in scope.spans if span.name != "FETCH"]
    return [one.value.string_value for span in spans for one in span.attributes if one.key == names.QUERY_TEXT]


@pytest.mark.parametrize("command", [("backwatch", "run", "--"), ("backwatch", "run"), ("opentelemetry-instrument",)])
def test_an_app_is_watched_with_no_change_of_its_code(
    shell: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, command: tuple[str, ...]
) -> None:
    ran = shell(*command, "python", "app.py")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "done\n", "")
    assert statements(tmp_path) == ["SELECT ? + ?"]


@pytest.mark.parametrize(
    "command",
    [
        ("opentelemetry-instrument", "backwatch", "run", "--", "python", "app.py"),
        ("backwatch", "run", "--", "opentelemetry-instrument", "python", "app.py"),
        ("backwatch", "run", "--", "backwatch", "run", "--", "python", "app.py"),
    ],
)
def test_started_twice_each_call_comes_once(
    shell: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, command: tuple[str, ...]
) -> None:
    ran = shell(*command)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert statements(tmp_path) == ["SELECT ? + ?"]


def test_python_children_are_watched_too(
    shell: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "parent.py").write_text(
        "import subprocess, sys\nsubprocess.run([sys.executable, 'app.py'], check=True)\n"
    )
    ran = shell("backwatch", "run", "--", "sh", "-c", "python parent.py")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert statements(tmp_path) == ["SELECT ? + ?"]


@pytest.mark.parametrize("number", ["SIGTERM", "SIGHUP"])
def test_a_process_that_raises_its_own_signal_delivers_its_last_call(
    shell: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, number: str
) -> None:
    (tmp_path / "leaving.py").write_text(APP + f"import signal\nsignal.raise_signal(signal.{number})\n")
    ran = shell("backwatch", "run", "--", "python", "-u", "leaving.py", BACKWATCH_COLLECTOR_FLUSH_INTERVAL_S="30")
    assert (ran.returncode, ran.stdout, ran.stderr) == (-getattr(signal, number), "done\n", "")
    assert statements(tmp_path) == ["SELECT ? + ?"]


def test_a_signal_that_the_app_handles_ends_no_watch(
    shell: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "handling.py").write_text(
        "import signal, sqlite3\n"
        "signal.signal(signal.SIGTERM, lambda number, frame: print('asked'))\n"
        "connection = sqlite3.connect('shop.db')\nconnection.execute('SELECT 1')\n"
        "signal.raise_signal(signal.SIGTERM)\nconnection.execute('SELECT 2, 3')\n"
    )
    ran = shell("backwatch", "run", "--", "python", "handling.py")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "asked\n", "")
    assert statements(tmp_path) == ["SELECT ?", "SELECT ?, ?"]


def test_children_of_multiprocessing_deliver_their_last_call(
    shell: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "pool.py").write_text(
        "import multiprocessing, sqlite3\n"
        "def work():\n    sqlite3.connect('shop.db').execute('SELECT 7').fetchall()\n"
        "if __name__ == '__main__':\n"
        "    for method in ('fork', 'spawn'):\n"
        "        child = multiprocessing.get_context(method).Process(target=work)\n"
        "        child.start()\n        child.join()\n"
    )
    ran = shell("backwatch", "run", "--", "python", "pool.py")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert statements(tmp_path) == ["SELECT ?", "SELECT ?"]


@pytest.mark.parametrize("code", [0, 3, 77])
def test_the_exit_code_is_the_apps(shell: Callable[..., subprocess.CompletedProcess[str]], code: int) -> None:
    assert code == shell("backwatch", "run", "--", "python", "-c", f"raise SystemExit({code})").returncode


def test_a_missing_command_is_reported_in_one_line(
    shell: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "plain").write_text("x")
    missing = shell("backwatch", "run", "--", "no-such-command")
    assert (missing.returncode, missing.stderr) == (127, "backwatch: no-such-command: command not found\n")
    plain = shell("backwatch", "run", "--", "./plain")
    assert (plain.returncode, plain.stderr) == (126, "backwatch: ./plain: Permission denied\n")


def test_the_users_own_sitecustomize_still_runs(
    shell: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text(
        "import sys\nif sys.orig_argv[1] == '-c':\n    print('own', __name__)\nmark = 1\n"
    )
    ran = shell(
        "backwatch", "run", "--", "python", "-c", "import sitecustomize; print(sitecustomize.mark)", PYTHONPATH=str(own)
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "own sitecustomize\n1\n", "")


def test_only_pythonpath_changes_in_the_apps_environment(
    shell: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    look = "import json, os; print(json.dumps(dict(os.environ)))"
    bare = json.loads(shell("python", "-c", look, PYTHONPATH="/somewhere").stdout)
    watched = json.loads(shell("backwatch", "run", "--", "python", "-c", look, PYTHONPATH="/somewhere").stdout)
    collectors, theirs = watched.pop("PYTHONPATH").split(os.pathsep)
    assert (bare.pop("PYTHONPATH"), "on_path") == (theirs, Path(collectors).name)
    watched.pop("_BACKWATCH_RUN")
    assert bare == watched
    empty = json.loads(shell("backwatch", "run", "--", "python", "-c", look, PYTHONPATH="").stdout)
    assert empty["PYTHONPATH"] == collectors


def test_a_module_beside_the_app_hides_no_module_of_the_collector(
    shell: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    for name in ("wrapt", "click", "zstandard", "backwatch"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('the wrong one')\n")
    (tmp_path / "elsewhere").mkdir()
    shutil.move(tmp_path / "app.py", tmp_path / "elsewhere" / "app.py")
    ran = shell("backwatch", "run", "--", "python", "elsewhere/app.py")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert statements(tmp_path) == ["SELECT ? + ?"]


def test_switched_off_it_leaves_all_as_it_was(
    shell: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    look = "import os, sys; print(os.environ.get('PYTHONPATH'), [m for m in sys.modules if 'backwatch' in m])"
    ran = shell("backwatch", "run", "--", "python", "-c", look, BACKWATCH_ENABLED="false")
    assert ran.stdout == "None []\n"
    shell("opentelemetry-instrument", "python", "app.py", BACKWATCH_ENABLED="0")
    assert not (tmp_path / "stream.db").exists()


def test_no_provider_driver_or_ssl_is_imported_into_the_app(
    shell: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    look = (
        "import sys\n"
        "drivers = {'ssl', 'psycopg', 'pymysql', 'redis', 'urllib3', 'smtplib', 'sqlite3', 'kafka', 'opentelemetry'}\n"
        "print(sorted(drivers & set(sys.modules)), 'backwatch.collector.bootstrap.start' in sys.modules)\n"
        "import sqlite3, opentelemetry.trace\nprint(opentelemetry.trace._TRACER_PROVIDER)\n"
    )
    ran = shell("backwatch", "run", "--", "python", "-c", look)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "[] True\nNone\n", "")


def test_an_apps_own_sdk_works_beside_us_and_samples_nothing_away(
    shell: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "own_sdk.py").write_text(
        "import sqlite3\nfrom opentelemetry import trace\nfrom opentelemetry.sdk.trace import TracerProvider\n"
        "from opentelemetry.sdk.trace.sampling import ALWAYS_OFF\n"
        "trace.set_tracer_provider(TracerProvider(sampler=ALWAYS_OFF))\n"
        "with trace.get_tracer('x').start_as_current_span('s'):\n"
        "    sqlite3.connect(':memory:').execute('SELECT 5').fetchall()\n"
        "print(type(trace.get_tracer_provider()).__module__)\n"
    )
    for more in ({}, {"OTEL_SDK_DISABLED": "true"}):
        ran = shell("backwatch", "run", "--", "python", "own_sdk.py", **more)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "opentelemetry.sdk.trace\n", "")
    assert statements(tmp_path) == ["SELECT ?", "SELECT ?"]


def test_a_misspelt_setting_is_reported_once_and_the_app_stays_watched(
    shell: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    ran = shell("backwatch", "run", "--", "python", "app.py", BACKWATCH_STRAEM_URL="x")
    assert (ran.returncode, ran.stdout) == (0, "done\n")
    assert ran.stderr.splitlines() == ["backwatch: no such setting, ignored: BACKWATCH_STRAEM_URL"]
    assert statements(tmp_path) == ["SELECT ? + ?"]


def test_a_wrong_setting_leaves_the_app_unwatched_but_running(
    shell: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    ran = shell("opentelemetry-instrument", "python", "app.py", BACKWATCH_COLLECTOR_QUEUE_RECORDS="many")
    assert (ran.returncode, ran.stdout) == (0, "done\n")
    (line,) = ran.stderr.splitlines()
    assert "BACKWATCH_COLLECTOR_QUEUE_RECORDS='many'" in line


def test_calls_reach_the_real_broker_even_if_the_app_ends_at_once(
    shell: Callable[..., subprocess.CompletedProcess[str]], kafka_without_topics: Server
) -> None:
    settings = StreamSettings(url=kafka_without_topics.url, partitions=1)
    ensure_topics(settings, [names.TOPIC_CALLS])
    ran = shell(
        "backwatch",
        "run",
        "--",
        "python",
        "app.py",
        BACKWATCH_STREAM_URL=kafka_without_topics.url,
        BACKWATCH_COLLECTOR_EXIT_TIMEOUT_S="20",  # for a busy machine
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    with closing(open_consumer(settings, names.TOPIC_CALLS, "test-run")) as consumer:
        deadline = time.monotonic() + 20
        records: list[Record] = []
        while not records and time.monotonic() < deadline:
            records = consumer.poll(0.3)
            for partition in consumer.assignment() if not records else ():
                consumer.seek(partition, 0)
    assert records[0].key == b"app"
    assert b"SELECT ? + ?" in records[0].value


@pytest.fixture
def stalled() -> Iterator[int]:
    """A port that accepts and never replies."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield server.getsockname()[1]


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port whose connections are neither accepted nor refused: its backlog is full."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(server.getsockname())
        yield server.getsockname()[1]
        for one in waiting:
            one.close()


BUSY = """
import resource, sqlite3, sys, time
connection = sqlite3.connect(":memory:")
began = time.monotonic()
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for at in range(20_000):
    connection.execute("SELECT 1")
    if at % 2000 == 0:
        time.sleep(0.1)
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
print(round(time.monotonic() - began, 2), grown, flush=True)
"""


@pytest.mark.parametrize("broker", ["dead", "stalled", "black_hole"])
@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL"])
def test_without_a_broker_calls_continue_and_exit_takes_at_most_two_seconds(
    shell: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
    broker: str,
    protocol: str,
    request: pytest.FixtureRequest,
) -> None:
    port = free_port() if broker == "dead" else request.getfixturevalue(broker)
    (tmp_path / "busy.py").write_text(BUSY + "print(time.time())\n")
    exits_s: list[float] = []
    while len(exits_s) < 3 and min(exits_s, default=9.9) > 2.0:  # other processes can only make it look longer
        ran = shell(
            "backwatch", "run", "--", "python", "busy.py",
            BACKWATCH_STREAM_URL=f"kafka://127.0.0.1:{port}", BACKWATCH_KAFKA_SECURITY_PROTOCOL=protocol,
        )  # fmt: skip
        left = time.time()
        assert (ran.returncode, "Traceback" in ran.stderr) == (0, False)
        first, last = ran.stdout.splitlines()
        took_s, grown_kb = map(float, first.split())
        assert took_s < 20
        assert grown_kb < 60_000
        exits_s.append(left - float(last))
    assert min(exits_s) <= 2.0
