"""Resetting context variables safely: a coroutine may end in another context than it began in."""

from contextvars import ContextVar, Token
from typing import Any


def reset_variable(variable: ContextVar[Any], token: Token[Any]) -> None:
    """Restore the variable's previous value, unless it was set in another context.

    The garbage collector closes a coroutine that its loop left pending, in any context. An exception raised here would
    replace the ``GeneratorExit`` or the app's own exception, which the app must see.
    """
    try:  # noqa: SIM105  ``suppress`` needs stack frames that there may not be
        variable.reset(token)
    except ValueError:
        pass
