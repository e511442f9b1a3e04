"""A pickle that runs a program when it is loaded: one that does nothing but say that it ran."""

import os
import pickle
from typing import Final

STATUS: Final = 42
RAN: Final = STATUS << 8
"""What loading it gives on POSIX: the program's exit status, as ``os.system`` tells it."""


class _Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"exit {STATUS}",)  # pyright: ignore[reportDeprecated]  what such bombs use


def bomb() -> bytes:
    """The pickle; nothing on the service's side ever loads it."""
    return pickle.dumps(_Bomb())
