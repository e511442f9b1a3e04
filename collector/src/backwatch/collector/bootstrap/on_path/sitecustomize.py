"""Runs in every Python process that ``backwatch run`` starts: the user's own ``sitecustomize``, then the collector.

This folder comes first on ``PYTHONPATH``, so it hides a later ``sitecustomize``, which is found and run from here.
"""

import importlib.machinery
import importlib.util
import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120  pathlib is not worth its import here


def _run_the_users_own() -> None:
    others = [path for path in sys.path if os.path.abspath(path or ".") != _HERE]  # noqa: PTH100
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    this_module = sys.modules.get("sitecustomize")
    sys.modules["sitecustomize"] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        if this_module is not None:
            sys.modules["sitecustomize"] = this_module
        raise


def _python_path() -> "list[str]":
    return os.environ.get("PYTHONPATH", "").split(os.pathsep)


def _go_to_the_front() -> None:
    """Restore the order of ``PYTHONPATH``.

    OpenTelemetry's own hook puts its folder in front, and would hide this one from every Python that the app starts.
    """
    paths = _python_path()
    if _HERE in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join([_HERE, *(path for path in paths if path != _HERE)])


def _start() -> None:
    try:
        from backwatch.collector.bootstrap.start import start
    except ImportError as error:
        # A child with another Python is left alone; only the command itself gets a message.
        if os.environ.get("_BACKWATCH_RUN") == str(os.getpid()):
            print(
                f"backwatch: not watched: {error} in {sys.executable}; install backwatch-collector there",
                file=sys.stderr,
            )
        return
    start()


_was_first = _python_path()[0] == _HERE
try:
    _run_the_users_own()
finally:
    if _was_first:
        _go_to_the_front()
    _start()
