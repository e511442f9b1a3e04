"""Django's two handlers, sync and async views: request input that became code of a statement is reported."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import AsyncRequestFactory, RequestFactory, override_settings
from django.urls import path

from backwatch.collector.request import request_input
from tests.collector.request.requested import ATTACKS, HONEST, WAYS, ask, assert_nothing_of, routes, serving, signed


def _ask(request: HttpRequest, way: str, how: str) -> HttpResponse:
    if way == "json":
        value = json.loads(request.body)["people"][0]["name"]
    else:
        value = (request.POST if way == "form" else request.GET)["name"]
    ask(how, str(value))
    return HttpResponse(b"done")


def view(request: HttpRequest, way: str, how: str) -> HttpResponse:
    return _ask(request, way, how)


async def view_async(request: HttpRequest, way: str, how: str) -> HttpResponse:
    return _ask(request, way, how)


urlpatterns = [path("sync/<way>/<how>", view), path("async/<way>/<how>", view_async)]


@pytest.fixture(autouse=True)
def _settings() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    if not settings.configured:  # not before: another module's models need their own
        settings.configure()
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=[]):
        yield


def _request(factory: Any, kind: str, way: str, how: str, value: str) -> Any:
    target = f"/{kind}/{way}/{how}"
    if way == "query":
        return factory.get(target, {"name": value})
    if way == "form":
        return factory.post(target, {"name": value})
    return factory.post(target, json.dumps({"people": [{"name": value}]}), content_type="application/json")


def send(kind: str, way: str, how: str, value: str) -> None:
    if kind == "sync":
        from django.core.handlers.wsgi import WSGIHandler

        answer: Any = WSGIHandler().get_response(_request(RequestFactory(), kind, way, how, value))
    else:
        from django.core.handlers.asgi import ASGIHandler

        request = _request(AsyncRequestFactory(), kind, way, how, value)
        answer = asyncio.run(ASGIHandler().get_response_async(request))
    assert answer.content == b"done"
    assert request_input.current() is None


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("way", WAYS)
def test_input_that_became_code_is_reported(way: str, kind: str) -> None:
    with serving("django") as stream:
        for value in ATTACKS:
            send(kind, way, "joined", value)
    assert [True] * len(ATTACKS) == signed(stream)
    assert_nothing_of(stream, "absent")


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("way", WAYS)
def test_input_in_one_literal_or_a_parameter_is_not_reported(way: str, kind: str) -> None:
    with serving("django") as stream:
        for value in HONEST:
            send(kind, way, "quoted", value)
            send(kind, way, "bound", value)
        for value in ATTACKS:
            send(kind, way, "bound", value)
    assert signed(stream)
    assert not any(signed(stream))


def test_calls_name_the_route_of_the_request() -> None:
    with serving("django") as stream:
        send("sync", "query", "bound", "a name")
        send("async", "query", "bound", "a name")
        ask("bound", "outside of a request")
    assert routes(stream) == {"sync/<way>/<how>", "async/<way>/<how>", ""}
