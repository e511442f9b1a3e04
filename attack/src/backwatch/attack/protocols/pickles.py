"""A pickle that runs a program when it is loaded. By default the program only reports that it ran."""

import os
import pickle
from typing import Final

STATUS: Final = 42
RAN: Final = STATUS << 8
"""Value of the loaded pickle on POSIX: the program's exit status, as ``os.system`` returns it."""


class _Bomb:
    def __init__(self, command: str) -> None:
        self._command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (self._command,)  # pyright: ignore[reportDeprecated]  real pickle bombs use it


def bomb(command: str = f"exit {STATUS}") -> bytes:
    """Return a pickle that runs a command; the server's side never loads it."""
    return pickle.dumps(_Bomb(command))
