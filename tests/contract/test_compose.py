"""docker-compose.yml and docker/Dockerfile match the code (services, ports, variables, commands), and are hardened.

No Docker engine is needed: the files are parsed, the commands are parsed by the commands themselves, Kafka's settings
by Kafka's own container set-up.
"""

import dataclasses
import os
import re
import runpy
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, cast

import click
import pytest
import yaml

from backwatch.collector import cli, settings
from backwatch.collector.settings import NotifySettings, load
from backwatch.notify.service import list_outputs
from backwatch.store import deliveries, tables
from backwatch.store.connect import open_store
from backwatch.store.migrate import upgrade
from backwatch.store.progress import PartitionProgress, write_progress
from backwatch.store.transactions import writing
from tests.services.brokers.kafka_broker import JARS
from tests.services.process import ROOT, free_port
from tests.services.server import Server

COMPOSE = (ROOT / "docker-compose.yml").read_text()
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]
NO_DETECTOR = "No detector has reported to this store yet. New alerts cannot appear.\n"
OURS = ("detector", "notify", "dashboard", "shop")
NEEDS = {
    "detector": {"store"},
    "notify": {"store"},
    "dashboard": {"store"},
    "attack": {"detector", "notify", "dashboard"},
}

every_service = pytest.mark.parametrize("name", sorted(SERVICES))
every_member = pytest.mark.parametrize("name", OURS)


def members(name: str) -> set[str]:
    return set(SERVICES[name]["build"]["args"]["MEMBERS"].split())


def test_it_is_the_whole_of_backwatch() -> None:
    assert {"kafka", "postgres", *OURS} == set(SERVICES)


@every_service
def test_service_runs_without_root_or_capabilities_on_a_read_only_disk(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    user = service.get("user") or re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)[-1]
    assert user.split(":")[0] not in ("", "0", "root")
    assert not {"privileged", "network_mode", "pid", "devices", "cap_add"} & set(service)


@every_service
def test_a_service_is_asked_whether_it_works(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] == "CMD"
    assert {"interval", "timeout", "retries", "start_period"} <= set(check)
    for other, how in SERVICES[name].get("depends_on", {}).items():
        assert other in SERVICES
        assert how == {"condition": "service_healthy"}


@every_service
def test_a_port_is_open_to_this_host_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@every_service
def test_no_secret_stands_in_the_file(name: str) -> None:
    for variable, value in SERVICES[name].get("environment", {}).items():
        if re.search("PASSWORD|SECRET", variable):
            assert re.fullmatch(r"\$\{[A-Z_]+:[-?][^}]*\}", value), variable
        assert not re.search(r"//[^/@$]+:[^$@]+@", str(value)), variable


@every_service
def test_named_files_exist(name: str) -> None:
    document = yaml.safe_load(COMPOSE)
    assert set(SERVICES[name]["networks"]) <= set(document["networks"])
    for volume in SERVICES[name].get("volumes", []):
        source = volume.split(":")[0]
        assert source in document["volumes"] or (source.startswith("./") and (ROOT / source).exists())
    if "build" in SERVICES[name]:
        assert (ROOT / SERVICES[name]["build"]["dockerfile"]).is_file()


def test_only_published_services_and_notify_leave_the_inner_network() -> None:
    document = yaml.safe_load(COMPOSE)
    assert document["networks"]["inside"] == {"internal": True}
    beyond = {name for name, service in SERVICES.items() if set(service["networks"]) != {"inside"}}
    assert beyond == {"kafka", "dashboard", "notify"}


@every_member
def test_every_variable_is_a_setting(name: str) -> None:
    found = {variable for variable in SERVICES[name]["environment"] if variable.startswith("BACKWATCH_")}
    assert found
    assert found <= settings.names_of(*settings.ALL)


@every_member
def test_every_value_can_be_read(name: str) -> None:
    environment = {key: _fill_in(value) for key, value in SERVICES[name]["environment"].items()}
    for kind in settings.ALL:
        settings.load(cast("Any", kind), environment=environment)


@pytest.mark.parametrize("name", [name for name in OURS if "entrypoint" not in SERVICES[name]])
def test_every_command_is_a_backwatch_command_with_valid_options(name: str) -> None:
    word, *arguments = SERVICES[name]["command"]
    context = click.Context(cli.main)
    command = cli.main.get_command(context, word)
    assert command is not None
    command.make_context(word, list(arguments))


def test_stream_and_dashboard_addresses_match_the_other_services() -> None:
    kafka = SERVICES["kafka"]["environment"]
    stream = SERVICES["detector"]["environment"]["BACKWATCH_STREAM_URL"]
    assert stream.replace("kafka://", "INSIDE://") in kafka["KAFKA_ADVERTISED_LISTENERS"].split(",")
    assert stream == SERVICES["shop"]["environment"]["BACKWATCH_STREAM_URL"]
    assert [
        f"127.0.0.1:{port}:{port}"
        for port in re.findall(r"HOST://127.0.0.1:(\d+)", kafka["KAFKA_ADVERTISED_LISTENERS"])
    ] == SERVICES["kafka"]["ports"]
    port = SERVICES["dashboard"]["environment"]["BACKWATCH_DASHBOARD_PORT"]
    assert SERVICES["dashboard"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert port == str(settings.DashboardSettings().port)
    store = {SERVICES[name]["environment"]["BACKWATCH_STORE_URL"] for name in ("detector", "notify", "dashboard")}
    assert len(store) == 1
    assert "@postgres:5432/backwatch" in store.pop()


@every_member
def test_an_image_holds_the_members_that_its_command_needs_and_no_others(name: str) -> None:
    inside = members(name)
    assert "collector" in inside
    for member in inside:
        assert NEEDS.get(member, set[str]()) <= inside
    assert ("attack" in inside) == (name == "shop")


def test_files_copied_by_the_dockerfile_exist_in_the_build_context() -> None:
    sent = set((ROOT / ".dockerignore").read_text().replace("!", "").splitlines())
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists()
            assert source in sent


def test_the_images_are_built_from_the_lock() -> None:
    assert "--require-hashes" in DOCKERFILE
    assert "--constraints requirements.lock" in DOCKERFILE


@pytest.mark.parametrize(
    "name", [name for name in OURS if SERVICES[name]["healthcheck"]["test"][2].endswith("health.py")]
)
def test_the_health_script_knows_the_part_that_it_is_asked_about(name: str) -> None:
    _, python, script, part = SERVICES[name]["healthcheck"]["test"]
    assert (python, script) == ("python", "/opt/backwatch/health.py")
    assert part in runpy.run_path(str(ROOT / "docker" / "health.py"))


def test_kafkas_own_set_up_takes_our_settings(kafka: Server, tmp_path: Path) -> None:
    found = {key: _fill_in(value) for key, value in SERVICES["kafka"]["environment"].items()}
    for folder in ("defaults", "mounted", "final"):
        (tmp_path / folder).mkdir()
    for file in ("server.properties", "log4j2.yaml", "tools-log4j2.yaml"):
        (tmp_path / "defaults" / file).write_text(
            "Configuration: {Loggers: {Root: {level: INFO}}}\n" if "yaml" in file else "#\n"
        )
    subprocess.run(
        [shutil.which("java") or "java", "-cp", f"{JARS}/*", "kafka.docker.KafkaDockerWrapper", "setup",
         "-D", "defaults", "-M", "mounted", "-F", "final"],
        cwd=tmp_path, check=True, capture_output=True, timeout=60,
        env={**os.environ, **found, "KAFKA_LOG_DIRS": str(tmp_path / "data")},
    )  # fmt: skip
    assert (tmp_path / "data" / "meta.properties").is_file()
    assert "auto.create.topics.enable=false" in (tmp_path / "final" / "server.properties").read_text()


def test_the_demo_app_works_under_watch(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, str(ROOT / "docker" / "shop.py"), *SERVICES["shop"]["command"], "--rounds", "2"],
        check=True, timeout=90, stdin=subprocess.DEVNULL, env=_with(BACKWATCH_STREAM_URL=f"sqlite:///{tmp_path}/stream.db"),
    )  # fmt: skip
    assert b"customers" in b"".join(path.read_bytes() for path in tmp_path.glob("stream.db*"))


def _make_store(url: str) -> None:
    upgrade(open_store(url, check=False))


def _health(store: str, part: str = "detector", **more: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(ROOT / "docker" / "health.py"), part]
    environment = _with(BACKWATCH_STORE_URL=store, **more)
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)


def test_a_detector_is_healthy_before_any_app_has_called(tmp_path: Path) -> None:
    urls = {f"BACKWATCH_{name}_URL": f"sqlite:///{tmp_path}/{name}.db" for name in ("STREAM", "STORE")}
    assert "there is no such file" in _health(urls["BACKWATCH_STORE_URL"]).stderr
    with subprocess.Popen([sys.executable, "-m", "backwatch.collector", "detect"], env=_with(**urls)) as detector:
        deadline = time.monotonic() + 60
        while (found := _health(urls["BACKWATCH_STORE_URL"])).returncode and time.monotonic() < deadline:
            time.sleep(0.5)
        detector.terminate()
    assert (found.returncode, found.stderr) == (0, "")


def test_the_oldest_shard_decides_whether_a_detector_is_healthy(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    _make_store(url)
    assert _health(url).stderr == NO_DETECTOR
    shard = {"seq": 1, "next_offset": 0, "watermark_ns": 1, "entry_id": 0, "updated_ns": time.time_ns()}
    with writing(open_store(url)) as connection:
        connection.execute(tables.shard.insert(), [{"id": number, **shard} for number in range(2)])
    assert _health(url).returncode == 0
    stopped = tables.shard.update().where(tables.shard.c.id == 1).values(updated_ns=time.time_ns() - 600 * 10**9)
    with writing(open_store(url)) as connection:
        connection.execute(stopped)
    assert _health(url).stderr.startswith("No process has read partition 1 of backwatch_calls since ")


def test_one_stalled_partition_makes_a_detector_unhealthy(tmp_path: Path) -> None:
    url, now_ns = f"sqlite:///{tmp_path}/store.db", time.time_ns()
    good = PartitionProgress(
        consumer_group="backwatch-detector", topic="backwatch_calls", partition_id=0, next_offset=9, end_offset=9,
        advanced_ns=now_ns, updated_ns=now_ns, member="host:1",
    )  # fmt: skip
    _make_store(url)
    stalled = dataclasses.replace(good, partition_id=1, end_offset=20, advanced_ns=now_ns - 90 * 10**9)
    write_progress(open_store(url), [good, stalled])
    assert _health(url).stderr.startswith("Partition 1 of backwatch_calls has not advanced since ")


def test_a_process_whose_endpoint_does_not_answer_is_unhealthy(tmp_path: Path) -> None:
    port = {"BACKWATCH_MONITORING_PORT": str(free_port())}
    for part in ("detector", "notify", "dashboard"):
        done = _health(f"sqlite:///{tmp_path}/store.db", part, **port)
        assert done.stderr.startswith("the monitoring endpoint does not answer: ")


@pytest.mark.parametrize("name", ["detector", "notify", "dashboard"])
def test_each_part_serves_the_endpoint_that_its_health_check_asks(name: str) -> None:
    assert SERVICES[name]["environment"]["BACKWATCH_MONITORING_PORT"] == "9464"
    assert not any("9464" in port for port in SERVICES[name].get("ports", []))


def test_only_a_dashboard_published_on_loopback_is_open_without_login() -> None:
    service = SERVICES["dashboard"]
    assert service["environment"]["BACKWATCH_DASHBOARD_OPEN_TO_EVERYBODY"] == "yes-i-know"
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_delivery_worker_without_a_finished_round_is_unhealthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    monkeypatch.setenv("BACKWATCH_WEBHOOK_URL", "https://alerts.example.com")
    monkeypatch.setenv("BACKWATCH_WEBHOOK_SECRET", f"whsec_{'A' * 44}")
    (output,) = list_outputs(load(NotifySettings))
    _make_store(url)
    deliveries.register(open_store(url), output.endpoint, 0)
    assert _health(url, "notify").stderr.startswith(f"No delivery worker has served the endpoint {output.endpoint} ")


def _with(**more: str) -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **more}


def _fill_in(value: Any) -> str:
    """Substitute as docker compose does for ``${NAME:-default}`` and ``${NAME:?why}``."""
    return re.sub(
        r"\$\{[A-Z_]+:([-?])([^}]*)\}", lambda found: found[2] if found[1] == "-" else "filled-in", str(value)
    )
