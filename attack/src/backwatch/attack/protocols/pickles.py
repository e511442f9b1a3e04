"""A harmless pickle that runs a program when it is loaded. The program only reports that it ran."""

import os
import pickle
from typing import Final

STATUS: Final = 42
RAN: Final = STATUS << 8
"""Value of the loaded pickle on POSIX: the program's exit status, as ``os.system`` returns it."""


class _Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"exit {STATUS}",)  # pyright: ignore[reportDeprecated]  real pickle bombs use it


def bomb() -> bytes:
    """Return the pickle; the server's side never loads it."""
    return pickle.dumps(_Bomb())
