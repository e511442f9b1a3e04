"""The short version of ``bench/chaos.py``: members come, go, are killed and stopped, without any effect."""

from pathlib import Path

import pytest

from bench import chaos
from tests.services.server import Server


@pytest.mark.slow
def test_a_storm_of_members_loses_doubles_and_changes_nothing(
    kafka_without_topics: Server, postgresql_database: str, tmp_path: Path
) -> None:
    figures = chaos.run(kafka_without_topics.url, postgresql_database, tmp_path, seconds=20, every_s=5, calls=4, seed=2)
    assert (figures["lost"], figures["doubled"], figures["different"]) == (0, 0, [])
    assert figures["longest_stand_still_s"] <= chaos.LIMIT_S
    assert figures["changes"] >= 4
    assert figures["alerts"] >= chaos.APPS
