"""The script for RabbitMQ, on a real broker: it suffices, no name is spare, and what is beyond is found."""

import base64
import http.client
import json
import secrets
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pika
import pika.exceptions
import pytest

from tests.detector.privileges.apps import rabbitmq_app
from tests.detector.privileges.recording import audit, audit_json, record
from tests.services.server import Server


class Shop:
    """A virtual host of its own, with an account that may do everything in it."""

    def __init__(self, server: Server) -> None:
        self.server, self.host = server, f"shop {secrets.token_hex(4)}"
        self.account, self.password = f"shop_{secrets.token_hex(4)}", secrets.token_hex(8)
        self.put(f"/api/vhosts/{quote(self.host)}", {})
        self.permit(server.user, [".*", ".*", ".*"])
        self.add(self.account)
        self.permit(self.account, [".*", ".*", ".*"])
        with pika.BlockingConnection(pika.URLParameters(self.url(server.user, server.password))) as connection:
            channel = connection.channel()
            channel.exchange_declare("audit")
            channel.queue_declare("mails")

    def put(self, path: str, body: object, method: str = "PUT") -> None:
        token = base64.b64encode(f"{self.server.user}:{self.server.password}".encode()).decode()
        connection = http.client.HTTPConnection(self.server.host, self.server.management_port, timeout=20)
        connection.request(
            method, path, json.dumps(body), {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
        )
        reply = connection.getresponse()
        assert reply.status < 300, (path, reply.status, reply.read())
        connection.close()

    def add(self, account: str) -> None:
        self.put(f"/api/users/{account}", {"password": self.password, "tags": ""})

    def permit(self, account: str, patterns: list[str]) -> None:
        body = dict(zip(("configure", "write", "read"), patterns, strict=True))
        self.put(f"/api/permissions/{quote(self.host)}/{account}", body)

    def url(self, account: str, password: str = "") -> str:
        address = f"{self.server.host}:{self.server.port}/{quote(self.host)}"
        return f"amqp://{account}:{password or self.password}@{address}"

    @property
    def audit_url(self) -> str:
        return f"{self.url(self.server.user, self.server.password)}?management_port={self.server.management_port}"

    def works(self, account: str) -> bool:
        try:
            rabbitmq_app.main(self.url(account))
        except pika.exceptions.AMQPError:
            return False
        return True

    def close(self) -> None:
        self.put(f"/api/vhosts/{quote(self.host)}", {}, "DELETE")
        for account in (self.account, f"{self.account}_least"):
            self.put(f"/api/users/{account}", {"password": self.password, "tags": ""})
            self.put(f"/api/users/{account}", {}, "DELETE")


@pytest.fixture
def shop(rabbitmq: Server) -> Iterator[Shop]:
    if not rabbitmq.management_port:
        pytest.skip("BACKWATCH_TEST_RABBITMQ_URL names no management_port")
    made = Shop(rabbitmq)
    yield made
    made.close()


def names_of(pattern: str) -> list[str]:
    return pattern.removeprefix("^(?:").removesuffix(")$").split("|")


def test_the_script_suffices_and_no_name_is_spare(shop: Shop, tmp_path: Path) -> None:
    stream = record("rabbitmq_app", shop.url(shop.account), tmp_path)
    found = audit_json(stream, shop.audit_url, "--account", shop.account)
    least = f"{shop.account}_least"
    _, permissions = (shlex.split(line["line"]) for line in found["script"])
    assert permissions[:5] == ["rabbitmqctl", "set_permissions", "-p", shop.host, least]
    patterns = permissions[5:]
    shop.add(least)
    shop.permit(least, patterns)
    rabbitmq_app.main(shop.url(least))

    spare: list[str] = []
    for kind, pattern in enumerate(patterns):
        for name in names_of(pattern):
            rest = [each for each in names_of(pattern) if each != name]
            shop.permit(least, [*patterns[:kind], f"^(?:{'|'.join(rest)})$" if rest else "^$", *patterns[kind + 1 :]])
            spare += [name] if shop.works(least) else []

    assert spare == []
    assert found["script"][1]["proofs"]


def test_powers_and_wide_patterns_are_listed(shop: Shop, tmp_path: Path) -> None:
    stream = record("rabbitmq_app", shop.url(shop.account), tmp_path)

    wide = audit_json(stream, shop.audit_url, "--account", shop.account)
    code, output = audit(stream, shop.audit_url)

    assert [grant["privilege"] for grant in wide["unused"]] == [
        f"{kind} everything" for kind in ("configure", "read", "write")
    ]
    assert wide["powers"] == []
    assert code == 3
    assert "critical: tag administrator" in output
    assert shop.server.password not in output


def test_an_account_that_may_not_manage_is_one_line(shop: Shop, tmp_path: Path) -> None:
    url = f"{shop.url(shop.account)}?management_port={shop.server.management_port}"

    code, output = audit({"BACKWATCH_STREAM_URL": f"sqlite:///{tmp_path / 's.db'}"}, url)

    assert (code, output.count("\n")) == (1, 1)
    assert shop.password not in output
