"""Parse documents with pySigma. Each of its errors becomes one line that names the document and the field."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sigma.exceptions import SigmaError
from sigma.rule import SigmaLogSource

from backwatch.detector.rules.conditions import RuleError

Parsed = TypeVar("Parsed")


def parse_document(
    make: Callable[[dict[str, Any]], Parsed],
    loaded: Mapping[str, Any],
    source: str,
    *,
    what: str,
    block: str,
    otherwise: str,
    within: Mapping[str, str],
    known: Sequence[str],
) -> Parsed:
    """Parse a document with pySigma.

    Args:
        make: ``from_dict`` of pySigma's class.
        what: Kind of document, for the error.
        block: The document's own block, which may be nested too deeply.
        otherwise: Field of errors whose class names none.
        within: Start of an error's class name to its field.
        known: Fields with which errors' class names start: ``SigmaLevelError`` is about ``level``.

    Raises:
        RuleError: The document is invalid.
    """
    try:
        return make(dict(loaded))
    except SigmaError as error:
        word = type(error).__name__.removeprefix("Sigma").removesuffix("Error").lower()
        where = within.get(word) or next((field for field in known if word.startswith(field)), block)
        raise RuleError(source, where, str(error)) from None
    except RecursionError:
        raise RuleError(source, block, "is nested too deeply") from None
    except (TypeError, AttributeError, KeyError, ValueError, IndexError, OverflowError) as error:
        # pySigma assumes the shapes that its schema promises, and checks only some of them.
        raise RuleError(source, otherwise, f"is not a Sigma {what}: {error}") from None


def check_logsource(found: SigmaLogSource, source: str) -> None:
    """Check that a document is about calls on backing services.

    Raises:
        RuleError: It is about something else.
    """
    if (found.product, found.category) != ("opentelemetry", "backing_service_call"):
        raise RuleError(source, "logsource", "must be product: opentelemetry, category: backing_service_call")
