"""Documents through pySigma: whatever it makes of a broken one is one line that names the document and the field."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sigma.exceptions import SigmaError
from sigma.rule import SigmaLogSource

from backwatch.detector.rules.conditions import RuleError

Made = TypeVar("Made")


def parse_document(
    make: Callable[[dict[str, Any]], Made],
    loaded: Mapping[str, Any],
    source: str,
    *,
    what: str,
    block: str,
    otherwise: str,
    within: Mapping[str, str],
    known: Sequence[str],
) -> Made:
    """What pySigma makes of a document.

    Args:
        make: Its class's ``from_dict``.
        what: What the document is to be, for the error.
        block: Its own block, which may be nested too deeply.
        otherwise: What an error is about whose class names nothing.
        within: Beginning of an error's class to the field that it is about.
        known: Fields by which errors' classes begin: ``SigmaLevelError`` is about ``level``.

    Raises:
        RuleError: It is no such document.
    """
    try:
        return make(dict(loaded))
    except SigmaError as error:
        word = type(error).__name__.removeprefix("Sigma").removesuffix("Error").lower()
        where = within.get(word) or next((one for one in known if word.startswith(one)), block)
        raise RuleError(source, where, str(error)) from None
    except RecursionError:
        raise RuleError(source, block, "is nested too deeply") from None
    except (TypeError, AttributeError, KeyError, ValueError, IndexError, OverflowError) as error:
        # pySigma assumes the shapes that its schema promises, and checks only some of them.
        raise RuleError(source, otherwise, f"is not a Sigma {what}: {error}") from None


def check_logsource(found: SigmaLogSource, source: str) -> None:
    """Only calls on backing services are judged here.

    Raises:
        RuleError: The document is about something else.
    """
    if (found.product, found.category) != ("opentelemetry", "backing_service_call"):
        raise RuleError(source, "logsource", "must say product: opentelemetry, category: backing_service_call")
