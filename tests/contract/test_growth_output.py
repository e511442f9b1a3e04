"""A new output is one new file, beside that of its contract test: shown in a copy with the documented example."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backwatch.store.connect import open_store
from tests.contract.documented import example_file
from tests.contract.growth.copies import GrownCopy
from tests.services.commits import Owner, make_raised
from tests.services.http.receiver import receiver

pytestmark = pytest.mark.xdist_group("growth")
FILE = "notify/src/backwatch/notify/outputs/plain_text.py"
SETUP = "tests/contract/outputs/plain_text.py"
ENVIRONMENT = '''"""Environment that configures the output of this name."""


def environment(url: str) -> dict[str, str]:
    return {"BACKWATCH_OUTPUT_PLAIN_TEXT_URL": url, "BACKWATCH_WEBHOOK_ALLOW_PRIVATE_HOSTS": "127.0.0.1"}
'''


@pytest.fixture(scope="module")
def grown() -> Iterator[GrownCopy]:
    """A copy with the output of CONTRIBUTING.md."""
    copy = GrownCopy()
    copy.add(FILE, example_file("plain_text.py"))
    copy.add(SETUP, ENVIRONMENT)
    yield copy
    copy.remove()


def _notify(grown: GrownCopy, store_url: str, **environment: str) -> tuple[int, str, str]:
    done = grown.backwatch("notify", "--once", BACKWATCH_STORE_URL=store_url, **environment)
    return done.returncode, done.stdout, done.stderr


def test_notify_delivers_to_the_new_output(grown: GrownCopy, tmp_path: Path) -> None:
    store_url = f"sqlite:///{tmp_path / 'store.db'}"
    engine = open_store(store_url)
    Owner(engine).commit(make_raised(), now_ns=time.time_ns())
    engine.dispose()
    with receiver() as one:
        setting = {"BACKWATCH_OUTPUT_PLAIN_TEXT_URL": one.url, "BACKWATCH_WEBHOOK_ALLOW_PRIVATE_HOSTS": "127.0.0.1"}
        code, shown, error = _notify(grown, store_url, **setting)
        assert (code, shown) == (0, "1 new events, 1 delivered, 0 failed\n"), error
        [request] = one.requests
    assert request.headers["content-type"].startswith("text/plain")
    assert request.body.startswith(b"high ")


def test_notify_refuses_a_misspelt_setting_of_an_output(grown: GrownCopy, tmp_path: Path) -> None:
    code, shown, error = _notify(grown, f"sqlite:///{tmp_path / 'store.db'}", BACKWATCH_OUTPUT_PLAIN_TEXT_ULR="x")
    assert (code, shown) == (78, "")
    assert "BACKWATCH_OUTPUT_PLAIN_TEXT_ULR: no such setting" in error


def test_output_passes_its_contract_tests(grown: GrownCopy) -> None:
    done = grown.pytest("tests/contract/test_every_output.py", "-k", "plain_text or unique")
    assert done.returncode == 0, done.stdout


def test_documents_list_the_setting(grown: GrownCopy) -> None:
    assert grown.run("tools/docs.py").returncode == 0
    settings = (grown.path / "docs/reference/settings.md").read_text()
    assert "| `BACKWATCH_OUTPUT_PLAIN_TEXT_URL` |" in settings


def test_output_changes_no_file_outside_the_new_ones(grown: GrownCopy) -> None:
    assert grown.list_added() == [FILE, SETUP]
    assert grown.list_changed() == []
