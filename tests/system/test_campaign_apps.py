"""The live apps of ``bench.campaigns``: each serves its routes, and two honest requests break its one bad statement."""

import contextlib
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from random import Random

import pytest

from bench.campaigns import databases
from bench.campaigns.apps import BUGS, drive
from tests.services.process import free_port
from tests.services.server import HOST
from tests.system.commands import BACKWATCH, environment

pytestmark = pytest.mark.heavy


@contextlib.contextmanager
def serve(app: str, database: str, folder: Path) -> Generator[str]:
    port = free_port()
    command = [BACKWATCH, "run", "--", sys.executable, "-m", f"bench.campaigns.apps.{app}", database, str(port)]
    settings = environment({"BACKWATCH_STREAM_URL": f"sqlite:///{folder}/stream.db", "BACKWATCH_APP": app})
    with subprocess.Popen(
        command, env=settings, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield f"http://{HOST}:{port}"
        finally:
            process.kill()


@pytest.mark.parametrize("app", ["flask_app", "django_app", "sqlalchemy_app"])
def test_app_serves_honest_requests_and_breaks_on_bugs(app: str, tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/library.db"
    filled = databases.connect(database)
    filled.fill()
    filled.close()
    with serve(app, database, tmp_path) as url:
        assert drive.request(url, drive.honest_paths(40, Random(1))) == {200: 40}
        assert drive.request(url, BUGS) == {500: len(BUGS)}
        assert drive.request(url, ["/find?id=5%20OR%20id%20IS%20NOT%20NULL&name=a"]) == {200: 1}
