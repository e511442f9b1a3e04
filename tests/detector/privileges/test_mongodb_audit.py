"""The audit of MongoDB: FerretDB enforces no roles, so the script is held against MongoDB's documented privileges."""

from pathlib import Path

from backwatch.detector.privileges.mongodb import list_unused
from tests.detector.privileges.recording import audit, audit_json, record
from tests.services.server import Server


def test_the_script_grants_what_the_calls_need(mongodb: Server, tmp_path: Path) -> None:
    stream = record("mongodb_app", mongodb.url, tmp_path)

    found = audit_json(stream, mongodb.url)

    lines = [line["line"] for line in found["script"]]
    assert lines[0] == 'db.getSiblingDB("shop").createRole({role: "app_least", privileges: [], roles: []});'
    assert lines[-1].startswith('db.getSiblingDB("shop").createUser({user: "app_least", pwd: passwordPrompt()')
    head, tail = (
        'db.getSiblingDB("shop").grantPrivilegesToRole("app_least", [{"resource": {"db": "shop", "collection": ',
        "]}]);",
    )
    granted = {tuple(line.removeprefix(head).removesuffix(tail).split('}, "actions": [')) for line in lines[1:-1]}
    assert granted == {
        ('""', '"listCollections"'),
        ('"orders"', '"insert"'), ('"orders"', '"find"'),
        ('"carts"', '"update"'), ('"carts"', '"remove"'),
        ('"stock"', '"find"'),
        ('"jobs"', '"find"'), ('"jobs"', '"update"'), ('"jobs"', '"createIndex"'),
    }  # fmt: skip
    assert all(line["proofs"] for line in found["script"][1:-1])


def test_a_server_without_logins_is_a_finding(mongodb: Server, tmp_path: Path) -> None:
    code, output = audit({"BACKWATCH_STREAM_URL": f"sqlite:///{tmp_path / 's.db'}"}, mongodb.url)

    assert code == 3
    assert "critical: no login" in output


def test_actions_beyond_what_was_seen_are_unused() -> None:
    privileges = [
        {"resource": {"db": "shop", "collection": ""}, "actions": ["find", "insert", "dropCollection"]},
        {"resource": {"cluster": True}, "actions": ["shutdown"]},
        {"resource": "hostile", "actions": 3},
    ]

    unused = {grant.privilege for grant in list_unused(privileges, [("find", "shop", "orders")])}

    assert unused == {"insert", "dropCollection"}
