"""clickhouse-driver's tests on the bench's server, with modules that their source distribution lacks.

It lacks the helper modules ``tests.log``, ``tests.util`` and ``tests.numpy.util``: the used helpers are defined
here. And its command line has no place for the password that ``clickhouse-client`` needs.
"""

import contextlib
import io
import logging
import os
import sys
import time
from collections.abc import Callable, Generator
from functools import wraps
from types import ModuleType
from typing import Any
from unittest import mock

import pytest


@contextlib.contextmanager
def capture_logging(name: str, level: str) -> Generator[io.StringIO]:
    """Capture a logger's messages inside the block."""
    buffer = io.StringIO()
    handler, logger = logging.StreamHandler(buffer), logging.getLogger(name)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield buffer
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)


@contextlib.contextmanager
def patch_env_tz(name: str) -> Generator[None]:
    """Set the process's time zone inside the block."""
    with mock.patch.dict(os.environ, TZ=name):
        time.tzset()
        yield
    time.tzset()


def skip_by_server_version(test: Any, version: tuple[int, ...]) -> None:
    """Return that the server is older than the tested feature."""
    test.skipTest(f"server before {version}")


def require_server_version(*version: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Skip a test on an older server."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @wraps(test)
        def checked(self: Any) -> None:
            if version > self.server_version:
                skip_by_server_version(self, version)
            test(self)

        return checked

    return decorate


def check_numpy(test: Callable[..., None]) -> Callable[..., None]:
    """Report it as installed."""
    return test


def _stand_in(name: str, **members: Any) -> None:
    module = ModuleType(name)
    vars(module).update(members)
    sys.modules[name] = module


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart() -> None:
    """Patch before any of their classes is created."""
    import tests  # the suite's, not this repository's

    tests.log = ModuleType("tests.log")  # pyright: ignore[reportAttributeAccessIssue]
    tests.log.configure = logging.getLogger().setLevel  # pyright: ignore[reportAttributeAccessIssue]
    _stand_in("tests.util", capture_logging=capture_logging, patch_env_tz=patch_env_tz,
              skip_by_server_version=skip_by_server_version, require_server_version=require_server_version)  # fmt: skip
    _stand_in("tests.numpy")
    _stand_in("tests.numpy.util", check_numpy=check_numpy)
    from tests.testcase import BaseTestCase  # pyright: ignore  # noqa: PGH003

    host, port, tls_port, user, password = os.environ["TOLD_CLICKHOUSE"].split()
    without = BaseTestCase.emit_cli.__func__

    def emit_cli(cls: Any, *args: Any, **kwargs: Any) -> Any:
        return without(cls, *args, user=user, password=password, **kwargs)

    BaseTestCase.host, BaseTestCase.port, BaseTestCase.secure_port = host, int(port), int(tls_port)
    BaseTestCase.user, BaseTestCase.password, BaseTestCase.emit_cli = user, password, classmethod(emit_cli)
