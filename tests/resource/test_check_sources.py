"""Where ``backwatch check`` finds resources, and services that try to hold it up."""

import json
import socket
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from backwatch.resource import inspections
from backwatch.resource.checklist.checks import secure_login
from backwatch.resource.checklist.command import _attach, check
from backwatch.resource.checklist.sources import read_compose_file, read_django_settings, read_manifests
from backwatch.resource.inspections import Link

COMPOSE = """
services:
  shop:
    environment:
      DATABASE_URL: postgresql://shop:${DB_PASSWORD}@${DB_HOST:-localhost}/shop
      CACHE_URL: redis://:${UNKNOWN_PASSWORD}@localhost:1/0
"""
MANIFEST = """
kind: Deployment
spec:
  containers:
    - name: shop
      env:
        - {name: DB_USER, value: shop}
        - {name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: shop, key: password}}}
        - {name: HOST_URL, value: "postgresql://$(DB_USER)@localhost/shop"}
        - {name: DATABASE_URL, value: "postgresql://$(DB_USER):$(DB_PASSWORD)@localhost/shop"}
"""


def test_placeholders_of_a_compose_file_are_filled_in(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text('DB_PASSWORD="from the file"\n')
    (path := tmp_path / "compose.yml").write_text(COMPOSE)
    found = read_compose_file(path)
    assert found["DATABASE_URL"] == "postgresql://shop:from the file@localhost/shop"
    assert "${UNKNOWN_PASSWORD}" in found["CACHE_URL"]


def test_references_of_a_manifest_are_filled_in(tmp_path: Path) -> None:
    (path := tmp_path / "shop.yml").write_text(MANIFEST)
    found = read_manifests(path)
    assert found["HOST_URL"] == "postgresql://shop@localhost/shop"
    assert found["DATABASE_URL"] == "postgresql://shop:$(DB_PASSWORD)@localhost/shop"


def run(*arguments: str, **variables: str) -> Any:
    return CliRunner(env=variables).invoke(check, arguments)


def test_url_that_cannot_be_read_does_not_end_the_check(tmp_path: Path) -> None:
    (path := tmp_path / "shop.env").write_text(
        "A_URL=postgresql://u:${P}@db/x\nB_URL=redis://h:port/\nC_URL=smtp://127.0.0.1:1/"
    )
    done = run("--env-file", str(path), "--json")
    seen = {(item["resource"], item["check"]): item for item in json.loads(done.stdout)}
    assert "placeholder ${P}" in seen["A_URL", "url"]["seen"]
    assert "no URL" in seen["B_URL", "url"]["seen"]
    assert seen["C_URL", "reachable"]["status"] == "fault"
    assert run("A_URL", "--env-file", str(path)).exit_code == 78


@pytest.mark.parametrize(
    ("url", "port"),
    [("https://localhost/", 443), ("http://localhost/", 80), ("smtps://localhost", 465), ("amqps://localhost", 5671)],
)
def test_scheme_chooses_the_port(url: str, port: int) -> None:
    ((attachment, _, _),), _ = _attach({"A_URL": url}, ["A_URL"])
    assert attachment.url.port(attachment.default_port) == port


def test_host_in_a_parameter_is_the_one_that_is_checked() -> None:
    ((attachment, _, _),), _ = _attach({"A_URL": "postgresql:///shop?host=192.0.2.1"}, [])
    assert attachment.url.host == "192.0.2.1"
    assert not attachment.own_machine


def test_deployment_named_in_dns_is_no_fault() -> None:
    done = run("A_URL", "--json", A_URL="mongodb+srv://shop:a-long-random-password-7f3k@cluster.db.example/")
    assert [item["check"] for item in json.loads(done.stdout) if item["status"] == "fault"] == []


def test_impossible_host_is_reported() -> None:
    host = "a" * 70
    done = run("A_URL", "--json", A_URL=f"redis://{host}.example:1/")
    assert {item["check"]: item["status"] for item in json.loads(done.stdout)}["reachable"] == "fault"


@pytest.mark.parametrize("settings", ["backwatch.mode=observe", "backwatch.tls=off", "backwatch.tls=require"])
def test_lax_policy_does_not_loosen_the_login_of_a_check(settings: str) -> None:
    ((attachment, _, _),), _ = _attach({"A_URL": f"mysql://shop:SECRET@192.0.2.1/shop?{settings}"}, [])
    secured = secure_login(attachment)
    assert secured.policy.enforced
    assert secured.verifies_name


@pytest.fixture
def dripping_port() -> Generator[int]:
    """Serve a byte every tenth of a second."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            client, _ = listener.accept()
            with client:
                for _ in range(100):
                    try:
                        client.sendall(b"x")
                    except OSError:
                        return
                    time.sleep(0.1)

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(5)


def test_drips_do_not_hold_an_inspection_up(dripping_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspections, "EXCHANGE_S", 0.3)
    with Link("127.0.0.1", dripping_port) as link, pytest.raises(TimeoutError, match="too long"):
        link.read_line()


SETTINGS = """
DATABASES = {"default": {"ENGINE": "backwatch.resource.django.postgresql", "RESOURCE": "DATABASE_URL",
                         "NAME": "shop", "USER": "shop", "HOST": "db", "PORT": ""}}
CACHES = {"default": {"BACKEND": "backwatch.resource.django.cache.AttachedCache", "LOCATION": "CACHE_URL"}}
EMAIL_BACKEND = "backwatch.resource.django.mail.EmailBackend"
EMAIL_HOST = "localhost"
"""


def test_attached_services_of_django_are_checked_by_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "attached_shop_settings.py").write_text(SETTINGS)
    monkeypatch.chdir(tmp_path)
    urls = {"DATABASE_URL": "postgresql://db/shop", "CACHE_URL": "redis://cache/0", "MAIL_URL": "smtp://mail"}
    for name, url in urls.items():
        monkeypatch.setenv(name, url)
    assert read_django_settings("attached_shop_settings") == urls


def test_policy_of_the_environment_holds_for_the_urls_of_a_file(tmp_path: Path) -> None:
    (path := tmp_path / "shop.env").write_text("A_URL=redis://127.0.0.1:1/")
    assert run("--env-file", str(path), BACKWATCH_RESOURCE_TLS="maybe").exit_code == 78
