"""urllib.request's file: URLs: a call each, of whose path no more is told than of any URL's."""
# ruff: noqa: S310  it is files that are opened

import contextlib
import urllib.request
from pathlib import Path

from backwatch.collector import names
from backwatch.collector.pipeline.encoder import session_attributes
from backwatch.collector.probes.urllib import UrllibProbe
from tests.collector.probes.recording import watching


def test_a_file_that_is_opened_by_url_is_told_without_what_stands_in_its_path(tmp_path: Path) -> None:
    file = tmp_path / "card-4111111111111111.txt"
    file.write_text("hunter2")
    with watching(UrllibProbe) as recording, urllib.request.urlopen(file.as_uri()) as answer:
        assert answer.read() == b"hunter2"
    (told,) = recording.calls
    assert (told.operation, told.session.system, told.session.transport) == ("GET", "file", "inproc")
    assert told.statement.startswith("GET /tmp")
    assert "4111" not in told.statement
    assert "hunter2" not in repr(told.attributes())
    assert session_attributes(told.session)[names.SYSTEM] == "file"


def test_a_file_that_is_not_there_is_told_with_its_error() -> None:
    with watching(UrllibProbe) as recording, contextlib.suppress(OSError):
        urllib.request.urlopen("file:///nowhere/at/all")
    (told,) = recording.calls
    assert (told.statement, told.error is None) == ("GET /nowhere/at/all", False)


def test_a_host_that_is_not_this_machine_is_refused_by_urllib_and_told_as_that() -> None:
    with watching(UrllibProbe) as recording, contextlib.suppress(OSError):
        urllib.request.urlopen("file://other.example/etc/hosts")
    assert [one.error is None for one in recording.calls] == [False]
