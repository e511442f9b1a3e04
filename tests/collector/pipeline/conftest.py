"""Fixtures shared by the tests of the pipeline."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from backwatch.collector.pipeline.pipeline import Pipeline
from backwatch.collector.settings import CollectorSettings
from backwatch.collector.stream import Publisher
from tests.collector.memory_stream import MemoryStream
from tests.collector.pipeline.pipelines import QUICK, MakePipeline


@pytest.fixture
def log() -> MemoryStream:
    """The stream of the test's pipelines."""
    return MemoryStream()


@pytest.fixture
def make(log: MemoryStream, request: pytest.FixtureRequest) -> Iterator[MakePipeline]:
    """Return a pipeline with these settings, else those of the module's ``SETTINGS``, else quick ones."""
    made: list[Pipeline] = []

    def make(opener: Callable[[], Publisher] | None = None, **changed: Any) -> Pipeline:
        settings = {**QUICK, **getattr(request.module, "SETTINGS", {}), **changed}
        made.append(Pipeline(CollectorSettings(**settings), opener or (lambda: log)))
        return made[-1]

    yield make
    for pipeline in made:
        pipeline.close()
