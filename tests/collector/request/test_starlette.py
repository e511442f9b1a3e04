"""Starlette, endpoints sync (in its threads) and async, below a middleware that runs them in a separate task."""

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from backwatch.collector.request import request_input
from tests.collector.request.requested import ATTACKS, HONEST, WAYS, ask, assert_nothing_of, routes, serving, signed


async def view_async(request: Request) -> PlainTextResponse:
    way, how = request.path_params["way"], request.path_params["how"]
    if way == "json":
        value = (await request.json())["people"][0]["name"]
    else:
        value = str((await request.form())["name"]) if way == "form" else request.query_params["name"]
    ask(how, value)
    return PlainTextResponse("done")


def view(request: Request) -> PlainTextResponse:
    ask(request.path_params["how"], request.query_params["name"])
    return PlainTextResponse("done")


class Passing(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)


inner = Starlette(routes=[Route("/{way}/{how}", view_async, methods=["POST"])])
app = Starlette(
    routes=[Route("/sync/{way}/{how}", view, methods=["POST"]), Mount("/async", inner)],
    middleware=[Middleware(Passing)],
)


def send(kind: str, way: str, how: str, value: str) -> None:
    client, path = TestClient(app), f"/{kind}/{way}/{how}"
    if way == "query":
        answer = client.post(path, params={"name": value})
    elif way == "form":
        answer = client.post(path, data={"name": value})
    else:
        answer = client.post(path, json={"people": [{"name": value}]})
    assert answer.text == "done"
    assert request_input.current() is None


CASES = [("sync", "query"), *(("async", way) for way in WAYS)]


@pytest.mark.parametrize(("kind", "way"), CASES)
def test_input_that_became_code_is_reported(kind: str, way: str) -> None:
    with serving("starlette") as stream:
        for value in ATTACKS:
            send(kind, way, "joined", value)
    assert [True] * len(ATTACKS) == signed(stream)
    assert_nothing_of(stream, "absent")


@pytest.mark.parametrize(("kind", "way"), CASES)
def test_input_in_one_literal_or_a_parameter_is_not_reported(kind: str, way: str) -> None:
    with serving("starlette") as stream:
        for value in HONEST:
            send(kind, way, "quoted", value)
            send(kind, way, "bound", value)
        for value in ATTACKS:
            send(kind, way, "bound", value)
    assert signed(stream)
    assert not any(signed(stream))


def test_calls_name_the_route_or_else_the_endpoint() -> None:
    with serving("starlette") as stream:
        send("sync", "query", "bound", "a name")
        send("async", "query", "bound", "a name")
        ask("bound", "outside of a request")
    assert routes(stream) in ({"/sync/{way}/{how}", "/{way}/{how}", ""}, {"view", "view_async", ""})
