"""How a context variable of ours is put back: a coroutine may end in another context than it began in."""

from contextvars import ContextVar, Token
from typing import Any


def reset_variable(variable: ContextVar[Any], token: Token[Any]) -> None:
    """As it was before; left alone where this is another context than the one that it was set in.

    A coroutine that its loop left pending is closed by the garbage collector, wherever that runs. An error of ours
    would there take the place of ``GeneratorExit``, which the app must see, or of the app's own.
    """
    try:  # noqa: SIM105  which takes frames that there may not be
        variable.reset(token)
    except ValueError:
        pass
