"""Every worker of every start delivers; ``make bench NAME=host_starts`` is the long version."""

from pathlib import Path

import pytest

from tests.hosts.starting import HOSTS, start_host

pytestmark = [pytest.mark.slow, pytest.mark.spread]


@pytest.mark.parametrize("host", HOSTS)
def test_every_worker_of_each_start_delivers(host: str, tmp_path: Path) -> None:
    for at in range(2):
        settings = {"BACKWATCH_STREAM_URL": f"sqlite:///{tmp_path}/stream{at}.db"}
        start = start_host(host, 4, tmp_path, settings)
        assert len(start.workers) == 4, start.log
        assert start.delivered == start.workers, start.log
        assert "Traceback" not in start.log
        assert "died" not in start.log
