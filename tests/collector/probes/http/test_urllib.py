"""urllib.request's file: URLs: a call each, with paths redacted as in any URL."""
# ruff: noqa: S310  the URLs are files

import contextlib
import urllib.request
from pathlib import Path

from backwatch.collector import names
from backwatch.collector.pipeline.encoder import session_attributes
from backwatch.collector.probes.urllib import UrllibProbe
from tests.collector.probes.recording import watching


def test_a_file_opened_by_url_is_recorded_without_values_of_its_path(tmp_path: Path) -> None:
    file = tmp_path / "card-4111111111111111.txt"
    file.write_text("hunter2")
    with watching(UrllibProbe) as recording, urllib.request.urlopen(file.as_uri()) as answer:
        assert answer.read() == b"hunter2"
    (recorded,) = recording.calls
    assert (recorded.operation, recorded.session.system, recorded.session.transport) == ("GET", "file", "inproc")
    assert recorded.statement.startswith(f"GET /{tmp_path.parts[1]}/")
    assert "4111" not in recorded.statement
    assert "hunter2" not in repr(recorded.attributes())
    assert session_attributes(recorded.session)[names.SYSTEM] == "file"


def test_a_file_that_is_not_there_is_recorded_with_its_error() -> None:
    with watching(UrllibProbe) as recording, contextlib.suppress(OSError):
        urllib.request.urlopen("file:///nowhere/at/all")
    (recorded,) = recording.calls
    assert (recorded.statement, recorded.error is None) == ("GET /nowhere/at/all", False)


def test_a_file_url_with_another_host_is_recorded_as_an_error() -> None:
    with watching(UrllibProbe) as recording, contextlib.suppress(OSError):
        urllib.request.urlopen("file://other.example/etc/hosts")
    assert [one.error is None for one in recording.calls] == [False]
