"""Flask, sync and async views: request input that became code of a statement is reported, nothing else."""

import pytest
from flask import Flask, request

from backwatch.collector.request import request_input
from tests.collector.request.requested import ATTACKS, HONEST, WAYS, ask, assert_nothing_of, routes, serving, signed

app = Flask(__name__)


def _value(way: str) -> str:
    if way == "json":
        return request.get_json()["people"][0]["name"]
    return request.form["name"] if way == "form" else request.args["name"]


@app.post("/sync/<way>/<how>")
def view(way: str, how: str) -> str:
    ask(how, _value(way))
    return "done"


@app.post("/async/<way>/<how>")
async def view_async(way: str, how: str) -> str:
    ask(how, _value(way))
    return "done"


def send(kind: str, way: str, how: str, value: str) -> None:
    path = f"/{kind}/{way}/{how}"
    with app.test_client() as client:
        if way == "query":
            answer = client.post(path, query_string={"name": value, "page": "1"})
        elif way == "form":
            answer = client.post(path, data={"name": value})
        else:
            answer = client.post(path, json={"people": [{"name": value}]})
    assert answer.text == "done"
    assert request_input.current() is None


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("way", WAYS)
def test_input_that_became_code_is_reported(way: str, kind: str) -> None:
    with serving("flask") as stream:
        for value in ATTACKS:
            send(kind, way, "joined", value)
    assert [True] * len(ATTACKS) == signed(stream)
    assert_nothing_of(stream, "absent")


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("way", WAYS)
def test_input_in_one_literal_or_a_parameter_is_not_reported(way: str, kind: str) -> None:
    with serving("flask") as stream:
        for value in (*HONEST, "short'"):
            send(kind, way, "quoted", value)
            send(kind, way, "bound", value)
        for value in ATTACKS:
            send(kind, way, "bound", value)
    assert signed(stream)
    assert not any(signed(stream))


def test_unread_input_is_unknown() -> None:
    with serving("flask") as stream, app.test_client() as client:
        client.post("/sync/query/joined", query_string={"name": "1 AND 2"}, data={"other": "absent' OR 'a'='a"})
    assert signed(stream) == [False]


def test_calls_name_the_route_of_the_request() -> None:
    with serving("flask") as stream:
        send("sync", "query", "bound", "a name")
        send("async", "query", "bound", "a name")
        ask("bound", "outside of a request")
    assert routes(stream) == {"/sync/<way>/<how>", "/async/<way>/<how>", ""}
