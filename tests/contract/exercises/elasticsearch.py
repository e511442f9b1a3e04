"""Typical calls of an app that uses Elasticsearch's client, sync and async."""

from collections.abc import Callable
from typing import Any

from elasticsearch import AsyncElasticsearch, Elasticsearch

from tests.collector.probes.http import searching

SERVICES = ("elasticsearch", "ca")


def calls(services: dict[str, Any]) -> list[object]:
    return searching.calls(services, "elasticsearch", Elasticsearch, AsyncElasticsearch)


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    return searching.failures(services, "elasticsearch", Elasticsearch)
