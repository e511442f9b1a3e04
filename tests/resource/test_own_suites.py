"""A driver's own test suite passes on attached connections as it passes bare: a part of it."""

import pytest

from bench import suite_setup, transparency
from bench.suite_run import ATTACHED


@pytest.mark.slow
@pytest.mark.spread
@pytest.mark.timeout(600)
@pytest.mark.services("postgresql")
def test_drivers_own_tests_pass_attached_as_they_pass_bare() -> None:
    column = transparency.measure(suite_setup.load("psycopg2"), (ATTACHED,), short=True)[ATTACHED]
    assert column.newly_failed == []
    assert column.run.recorded > 50
