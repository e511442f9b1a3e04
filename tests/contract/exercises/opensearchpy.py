"""Typical calls of an app that uses OpenSearch's client, sync and async."""

from collections.abc import Callable
from typing import Any

from opensearchpy import AsyncOpenSearch, OpenSearch

from tests.collector.probes.http import searching

SERVICES = ("opensearch", "ca")


def calls(services: dict[str, Any]) -> list[object]:
    return searching.calls(services, "opensearch", OpenSearch, AsyncOpenSearch)


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    return searching.failures(services, "opensearch", OpenSearch)
