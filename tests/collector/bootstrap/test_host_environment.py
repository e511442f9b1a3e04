"""Unusual process settings of an app do not break the collector, nor the collector the app."""

import os
import subprocess
import sys
import uuid
from contextlib import closing
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream.factory import ensure_topics, open_consumer
from tests.services.brokers.whole_topic import whole_topic
from tests.services.server import Server

BIN = Path(sys.executable).parent
CALLS = """
import sqlite3, time
connection = sqlite3.connect(":memory:")
connection.execute("SELECT 1").fetchall()
time.sleep(1)
print("done")
"""


def watch(folder: Path, program: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a program under ``backwatch run``, as the app ``shop``."""
    (folder / "app.py").write_text(program)
    variables = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "HOME": str(folder), "OTEL_SERVICE_NAME": "shop"}
    return subprocess.run(
        ["backwatch", "run", "--", "python", "app.py"], cwd=folder, env=variables | environment, capture_output=True,
        text=True, timeout=120,
    )  # fmt: skip


def test_an_app_that_clears_its_environment_keeps_its_stream_and_name(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/elsewhere/stream.db"
    (tmp_path / "elsewhere").mkdir()
    ran = watch(tmp_path, "import os\nos.environ.clear()\n" + CALLS, BACKWATCH_STREAM_URL=url)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "done\n", "")
    with closing(open_consumer(StreamSettings(url=url), names.TOPIC_CALLS, "test")) as consumer:
        records = consumer.poll(0)
    resources = [one for record in records for one in ExportTraceServiceRequest.FromString(record.value).resource_spans]
    found = {
        one.value.string_value for each in resources for one in each.resource.attributes if one.key == "service.name"
    }
    assert found == {"shop"}


@pytest.mark.parametrize(
    "hindrance",
    [
        pytest.param("import threading\nthreading.stack_size(32_768)\n", id="small stacks"),
        pytest.param("import warnings\nwarnings.simplefilter('error')\n", id="warnings are errors"),
        pytest.param(
            "import resource, threading\nthreading.stack_size(1 << 33)\n"
            "resource.setrlimit(resource.RLIMIT_AS, (1 << 31, 1 << 31))\n", id="stacks too large for memory",
        ),
    ],
)  # fmt: skip
def test_an_app_with_any_process_settings_is_watched_and_goes_on(kafka: Server, tmp_path: Path, hindrance: str) -> None:
    stream = StreamSettings(url=kafka.url)
    ensure_topics(stream, [names.TOPIC_CALLS])
    app = f"shop-{uuid.uuid4().hex}"
    ran = watch(tmp_path, hindrance + CALLS, BACKWATCH_STREAM_URL=kafka.url, OTEL_SERVICE_NAME=app)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "done\n", "")
    assert app.encode() in {record.key for record in whole_topic(stream, app)}


def test_the_size_of_stacks_is_the_apps_own_again() -> None:
    program = (
        "import threading\nfrom backwatch.collector.runtime.thread_stack import ample_stack\n"
        "def has(size):\n    found = threading.stack_size(size)\n    threading.stack_size(found)\n    return found\n"
        "found = []\n"
        "for size in (0, 32_768, 1 << 20, 1 << 30):\n"
        "    threading.stack_size(size)\n"
        "    with ample_stack():\n        inside = has(0)\n"
        "    found.append((inside, has(0) == size))\n"
        "threading.stack_size(32_768)\n"
        "with ample_stack():\n    threading.stack_size(65_536)\n"
        "print(found, has(0))\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == "[(0, True), (1048576, True), (1048576, True), (1048576, True)] 65536\n"


def test_importing_the_driver_leaves_the_filters_of_warnings_as_they_were() -> None:
    program = (
        "import warnings\nfrom backwatch.collector.settings import StreamSettings\n"
        "from backwatch.collector.stream.factory import prepare_publisher\n"
        "import opentelemetry.proto.collector.trace.v1.trace_service_pb2\n"
        "before = list(warnings.filters)\nprepare_publisher(StreamSettings(url='kafka://127.0.0.1:1'))\n"
        "print(warnings.filters == before)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == "True\n"
