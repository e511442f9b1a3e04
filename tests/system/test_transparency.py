"""Test suites of drivers pass under Backwatch as they pass without: the short set; ``make bench`` has all of them."""

import pytest

from bench import suite_setup, transparency
from bench.suite_run import BACKWATCH


@pytest.mark.slow
@pytest.mark.spread
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", transparency.SHORT)
@pytest.mark.services("memcached", "redis_server")
def test_a_drivers_own_tests_pass_watched_as_they_pass_bare(name: str) -> None:
    column = transparency.measure(suite_setup.load(name), (BACKWATCH,), short=True)[BACKWATCH]
    assert column.newly_failed == []
    assert column.run.faults == 0, column.run.swallowed
