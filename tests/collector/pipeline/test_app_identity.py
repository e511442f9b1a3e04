"""The app's identity equals what the OpenTelemetry SDK detects, without the SDK's threads and locks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.sdk.resources import OTELResourceDetector

from backwatch.collector.pipeline.app_identity import identify, parse_environment_attributes

PARTS = st.text(st.sampled_from("ab.=, %2C%zz\u00fc%C3%BC\t"), max_size=8)


@given(
    pairs=st.lists(st.one_of(PARTS, st.tuples(PARTS, PARTS).map("=".join))), service_name=st.one_of(st.none(), PARTS)
)
@example(
    pairs=["service.name=a%2Cb", "service.namespace = x%20y ", "none", "deployment.environment.name=%ff"],
    service_name="",
)
def test_environment_attributes_equal_those_the_sdk_detects(pairs: list[str], service_name: str | None) -> None:
    environment = {"OTEL_RESOURCE_ATTRIBUTES": ",".join(pairs)}
    if service_name is not None:
        environment["OTEL_SERVICE_NAME"] = service_name
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OTEL_SERVICE_NAME", raising=False)
        for name, value in environment.items():
            patch.setenv(name, value)
        detected = dict(OTELResourceDetector().detect().attributes)
    parsed = {key: value for key, value in parse_environment_attributes(environment).items() if key}
    assert detected == parsed


def test_platform_names_the_release_only_where_the_app_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K_REVISION", "shop-00042-abc")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=shop")
    assert ("service.version", "shop-00042-abc") in identify().attributes
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=shop,service.version=4.1")
    assert ("service.version", "4.1") in identify().attributes


FORK_WHILE_IDENTIFYING = """
import os, signal, sqlite3, sys, threading, time, uuid

real = uuid.uuid4
def uuid4():  # the scheduler takes the thread off its core in os.urandom
    if threading.current_thread() is not threading.main_thread():
        time.sleep(5)
    return real()
uuid.uuid4 = uuid4

sqlite3.connect(":memory:").execute("SELECT 1")
time.sleep(1)
child = os.fork()
if child == 0:
    signal.alarm(30)
    sqlite3.connect(":memory:").execute("SELECT 2")
    from backwatch.collector.bootstrap import start
    os._exit(0 if start.start_pipeline().flush(10) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_child_forked_while_the_app_is_identified_delivers_its_calls(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from backwatch.collector.bootstrap import start\nstart.start()\n" + FORK_WHILE_IDENTIFYING,
        ],
        capture_output=True, text=True, check=False, timeout=100,
        env=os.environ | {"BACKWATCH_STREAM_URL": f"sqlite:///{tmp_path}/stream.db"},
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("0\n", "")
