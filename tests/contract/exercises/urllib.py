"""Typical calls of an app that opens files by URL, and of one that opens any given URL."""
# ruff: noqa: S310  the URLs are files

import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

SERVICES = ()


def calls(services: dict[str, Any]) -> list[object]:
    del services
    seen: list[object] = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "rates.txt")
        file.write_text("EUR 1.08")
        with urllib.request.urlopen(file.as_uri()) as answer:
            seen += [answer.read(), answer.headers["Content-Length"]]
        request = urllib.request.Request(f"file://localhost{file}")
        with urllib.request.urlopen(request) as answer:
            seen.append(answer.read())
        try:
            urllib.request.urlopen(f"{file.as_uri()}.none")
        except OSError as error:
            seen.append(type(error).__name__)
    return seen


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    del services
    return [
        lambda: urllib.request.urlopen("file:///nowhere/at/all"),
        lambda: urllib.request.urlopen("file:///"),
        lambda: urllib.request.urlopen("file:///nowhere/\0"),
    ]
