"""The script for Redis, on a real server: it suffices, no line is spare, and what is beyond is found."""

import secrets
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import redis

from tests.detector.privileges.apps import redis_app
from tests.detector.privileges.recording import audit, audit_json, find_spare, record
from tests.services.server import Server


class Shop:
    """A server with an account that may do everything."""

    def __init__(self, server: Server) -> None:
        self.server, self.account, self.password = server, f"shop_{secrets.token_hex(4)}", secrets.token_hex(8)
        self.admin = redis.Redis(
            port=server.port, username=server.user, password=server.password, decode_responses=True
        )
        self.admin.execute_command("ACL", "SETUSER", self.account, "on", f">{self.password}", "~*", "&*", "+@all")

    def url(self, account: str) -> str:
        return f"redis://{account}:{self.password}@{self.server.host}:{self.server.port}/0"

    def build(self, account: str, lines: Sequence[str]) -> None:
        """Create the account by these lines of a script alone."""
        for line in lines:
            self.admin.execute_command(*shlex.split(line)[1:])
        self.admin.execute_command("ACL", "SETUSER", account, "on", f">{self.password}")

    def works(self, account: str) -> bool:
        try:
            redis_app.main(self.url(account))
        except redis.RedisError:
            return False
        return True


@pytest.fixture
def shop(redis_server: Server) -> Iterator[Shop]:
    made = Shop(redis_server)
    yield made
    made.admin.execute_command("ACL", "DELUSER", made.account, f"{made.account}_least")
    made.admin.close()


def test_the_script_suffices_and_no_line_is_spare(shop: Shop, tmp_path: Path) -> None:
    stream = record("redis_app", shop.url(shop.account), tmp_path)
    found = audit_json(stream, shop.url(shop.account))
    lines = [line["line"] for line in found["script"]]
    least = f"{shop.account}_least"
    shop.build(least, lines)
    redis_app.main(shop.url(least))

    spare = find_spare(
        lines[1:], lambda line: shop.build(least, [each for each in lines if each != line]), lambda _: None,
        lambda: shop.works(least),
    )  # fmt: skip

    assert spare == []
    assert all(line["proofs"] for line in found["script"][1:])


def test_powers_and_unused_commands_are_listed(shop: Shop, tmp_path: Path) -> None:
    stream = record("redis_app", shop.url(shop.account), tmp_path)

    code, output = audit(stream, shop.url(shop.account))

    assert code == 3
    assert "critical: +config|set" in output
    assert "all keys on pattern ~*" in output
    assert shop.password not in output


def test_the_least_account_is_clean_for_an_administrator(shop: Shop, tmp_path: Path) -> None:
    stream = record("redis_app", shop.url(shop.account), tmp_path)
    least = f"{shop.account}_least"
    shop.build(least, [line["line"] for line in audit_json(stream, shop.url(shop.account))["script"]])
    (tmp_path / "stream.db").unlink()
    stream = record("redis_app", shop.url(least), tmp_path)

    code, output = audit(stream, shop.url(shop.account), "--account", least)

    assert code == 0, output


def test_an_account_that_may_not_read_rights_is_one_line(shop: Shop, tmp_path: Path) -> None:
    shop.admin.execute_command("ACL", "SETUSER", shop.account, "-acl")

    code, output = audit({"BACKWATCH_STREAM_URL": f"sqlite:///{tmp_path / 's.db'}"}, shop.url(shop.account))

    assert (code, output.count("\n")) == (1, 1)
    assert "--account" in output
    assert shop.password not in output
