"""The script for Kafka, on a real broker: it suffices, no line is spare, and what is beyond is found."""

import secrets
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kafka.admin
import pytest
from kafka import KafkaProducer
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    NewTopic,
    ResourcePattern,
    ResourceType,
)

from tests.detector.privileges.apps import kafka_app
from tests.detector.privileges.recording import audit, audit_json, find_spare, record
from tests.services.server import Server

ADMIN: Any = kafka.admin  # its stubs lack the newer names


class Shop:
    """Topics and a principal of their own, on the shared broker."""

    def __init__(self, server: Server) -> None:
        self.server, self.password = server, secrets.token_hex(8)
        self.prefix = "shop" + "".join(secrets.choice("abcdefgh") for _ in range(6))
        self.account, self.least = f"{self.prefix}_app", f"{self.prefix}_least"
        self.admin = ADMIN.KafkaAdminClient(bootstrap_servers=server.bootstrap)
        self.topics = [f"{self.prefix}-{name}" for name in ("orders", "mails", "unused")]
        self.admin.create_topics([NewTopic(name, 1, 1) for name in self.topics])
        producer = KafkaProducer(bootstrap_servers=server.bootstrap)
        for _ in range(50):
            producer.send(self.topics[1], b"x")
        producer.close()
        self.admin.alter_user_scram_credentials(
            [
                ADMIN.UserScramCredentialUpsertion(user, "SCRAM-SHA-256", self.password)
                for user in (self.account, self.least)
            ]
        )
        every: list[tuple[ACLOperation, ResourceType, str]] = [
            (operation, ResourceType.TOPIC, "*")
            for operation in (ACLOperation.READ, ACLOperation.WRITE, ACLOperation.CREATE, ACLOperation.DELETE)
        ]
        every += [(ACLOperation.READ, ResourceType.GROUP, f"{self.prefix}-billing")]
        every += [(ACLOperation.ALTER, ResourceType.CLUSTER, "kafka-cluster")]
        every += [(ACLOperation.ALTER_CONFIGS, ResourceType.TOPIC, self.topics[2])]
        self.admin.create_acls([self._acl(self.account, *each) for each in every])

    def _acl(self, user: str, operation: ACLOperation, kind: ResourceType, name: str) -> ACL:
        pattern = ResourcePattern(kind, name, ACLResourcePatternType.LITERAL)
        return ACL(f"User:{user}", "*", operation, ACLPermissionType.ALLOW, pattern)

    def to_acl(self, line: str) -> ACL:
        """Return the ACL of one line of the script."""
        words = shlex.split(line)
        options: dict[str, str] = dict(zip(words[4::2], words[5::2], strict=True))
        kind = "topic" if "--topic" in options else "group"
        operation = ACLOperation[options["--operation"].upper()]
        assert options["--allow-principal"] == f"User:{self.least}"
        return self._acl(self.least, operation, ResourceType[kind.upper()], options[f"--{kind}"])

    def url(self, account: str) -> str:
        server = self.server
        return f"{server.host}:{server.sasl_port},{server.ca_file},{account},{self.password},{self.prefix}"

    @property
    def audit_url(self) -> str:
        return f"kafka://{self.server.host}:{self.server.port}"

    def works(self, account: str) -> bool:
        try:
            kafka_app.main(self.url(account))
        except Exception:  # noqa: BLE001  the driver's errors have no common base
            return False
        return True

    def add(self, line: str) -> None:
        self.admin.create_acls([self.to_acl(line)])

    def drop(self, line: str) -> None:
        acl: Any = self.to_acl(line)
        self.admin.delete_acls(
            [ACLFilter(acl.principal, acl.host, acl.operation, acl.permission_type, acl.resource_pattern)]
        )

    def close(self) -> None:
        self.admin.delete_topics(self.topics)
        self.admin.close()


@pytest.fixture
def shop(kafka: Server) -> Iterator[Shop]:
    if not kafka.sasl_port:
        pytest.skip("BACKWATCH_TEST_KAFKA_URL names no sasl_port")
    made = Shop(kafka)
    yield made
    made.close()


@pytest.mark.heavy
def test_the_script_suffices_and_no_line_is_spare(shop: Shop, tmp_path: Path) -> None:
    stream = record("kafka_app", shop.url(shop.account), tmp_path)
    arguments = (shop.audit_url, "--account", shop.account, "--endpoint", "any", "--as", shop.least)
    found = audit_json(stream, *arguments)
    lines = [line["line"] for line in found["script"]]
    for line in lines:
        shop.add(line)
    kafka_app.main(shop.url(shop.least))

    spare = find_spare(lines, shop.drop, shop.add, lambda: shop.works(shop.least))

    assert spare == []
    assert len(lines) == 5
    assert all(line["proofs"] for line in found["script"])
    assert {"ALTER on the cluster"} == {power["name"] for power in found["powers"]}
    unused = {(grant["privilege"], grant["name"][0]) for grant in found["unused"]}
    assert {("ALTER_CONFIGS", shop.topics[2]), ("WRITE everything", "*")} <= unused


def test_a_principal_that_may_not_read_acls_is_one_line(shop: Shop, tmp_path: Path) -> None:
    server = shop.server
    url = f"kafka://{shop.least}:{shop.password}@{server.host}:{server.sasl_port}?ca_file={server.ca_file}"

    code, output = audit({"BACKWATCH_STREAM_URL": f"sqlite:///{tmp_path / 's.db'}"}, url)

    assert (code, output.count("\n")) == (1, 1), output
    assert "--account" in output
    assert shop.password not in output
