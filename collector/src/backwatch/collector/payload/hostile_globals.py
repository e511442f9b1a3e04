"""Globals in a serialised value that the rule ``hostile-payload`` matches; they are reported before all others.

The number of reported names is bounded. An attacker could fill that room with harmless classes, or with harmless names
of modules known from exploits. So the names that the rule matches come first, and one of them is enough.
"""

import re
from typing import Final

PREFIXES: Final = (
    "os.", "posix.", "nt.", "subprocess.", "commands.", "popen2.", "pty.", "shutil.", "socket.", "runpy.",
    "importlib.", "imp.", "zipimport.", "pkgutil.", "ctypes.", "code.interact", "code.Interactive",
    "code.compile_command", "codeop.", "pdb.", "bdb.", "marshal.", "webbrowser.", "timeit.", "cProfile.",
    "profile.run", "profile.Profile", "pip.", "pydoc.", "signal.", "tempfile.", "asyncio.", "multiprocessing.",
    "requests.", "urllib.", "http.", "smtplib.", "ftplib.", "linecache.", "fileinput.", "_posixsubprocess.",
    "_winapi.", "_imp.", "_ctypes.", "_socket.", "doctest.", "trace.main", "trace.Trace", "ensurepip.", "venv.",
    "distutils.", "_osx_support.", "_aix_support.", "uuid._", "logging.config.", "logging.handlers.", "idlelib.",
    "lib2to3.", "test.support.", "numpy.f2py.", "numpy.testing.", "?.",
)  # fmt: skip
"""Modules, and prefixes of names in them, that run code, load code or reach the system."""
THROUGH: Final = re.compile(
    r"\.(?:os|posix|nt|subprocess|_posixsubprocess|pty|shutil|runpy|importlib|ctypes|builtins|__builtins__)\."
)
"""A module that is reached through another one: ``logging.os.system`` is ``os.system``."""
FUNCTIONS: Final = frozenset((
    "builtins.eval", "builtins.exec", "builtins.execfile", "builtins.compile", "builtins.__import__", "builtins.open",
    "builtins.getattr", "builtins.setattr", "builtins.delattr", "builtins.globals", "builtins.locals",
    "builtins.vars", "builtins.breakpoint", "builtins.input", "builtins.apply", "builtins.file", "__builtin__.eval",
    "__builtin__.exec", "__builtin__.execfile", "__builtin__.compile", "__builtin__.__import__", "__builtin__.open",
    "__builtin__.getattr", "__builtin__.setattr", "__builtin__.apply", "__builtin__.file", "__builtin__.globals",
    "sys.modules", "sys.settrace", "sys.path", "operator.attrgetter", "operator.methodcaller", "_operator.attrgetter",
    "_operator.methodcaller", "functools.partial", "functools.reduce", "_functools.partial", "_functools.reduce",
    "io.open", "io.open_code", "io.FileIO", "_io.open", "_io.open_code", "_io.FileIO", "types.CodeType",
    "types.FunctionType", "inspect.currentframe", "platform.popen", "pickle.loads", "pickle.load", "_pickle.loads",
    "_pickle.load", "logging.FileHandler", "sqlite3.connect", "_sqlite3.connect", "sqlite3.Connection",
    "_sqlite3.Connection", "numpy.load", "pandas.eval", "torch.load", "joblib.load", "yaml.load", "yaml.unsafe_load",
))  # fmt: skip
"""Hostile names of modules that have harmless names, too."""


def is_hostile(name: str) -> bool:
    """Return whether the rule matches a value that imports this name.

    >>> is_hostile("posix.system"), is_hostile("logging.os.system"), is_hostile("shop.models.Basket")
    (True, True, False)
    """
    return name in FUNCTIONS or name.startswith(PREFIXES) or THROUGH.search(name) is not None
