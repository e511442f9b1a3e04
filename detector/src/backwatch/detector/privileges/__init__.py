"""What an account may do, one file per system: read from the service, compared with what its app was seen to do.

A file of this folder with a subclass of :class:`Auditor` is found by walking; no list names it. Its reader sends only
statements of its own, within time-outs: no text of a span or of a reply is ever sent to the service. Everything that a
service returns may be an attacker's, so it is bounded, compared as text, and quoted before it is written.
"""

import importlib
import pkgutil
import struct
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from backwatch.detector.audit.model import Audit, AuditUnavailable, Calls, SeenCall, Target, WrongTarget

__all__ = ["Auditor", "discover", "find", "import_driver", "sort_proofs", "translate_malformed"]


class Auditor(ABC):
    """One kind of service whose accounts can be audited.

    Attributes:
        schemes: Schemes of its URLs, without a driver's name (``postgresql+psycopg`` is ``postgresql``).
        systems: Its names in spans.
        port: Its usual port.
        language: The language of its script, for the report.
        example: A URL, for messages.
    """

    schemes: ClassVar[tuple[str, ...]]
    systems: ClassVar[tuple[str, ...]]
    port: ClassVar[int]
    language: ClassVar[str]
    example: ClassVar[str]

    @abstractmethod
    def audit(self, target: Target, seen: Calls, new_account: str) -> Audit:
        """Read the account's rights and compare them with the calls.

        Args:
            target: The account, and how to reach the service.
            seen: The app's calls that succeeded.
            new_account: Name of the account that the script creates.

        Raises:
            AuditUnavailable: The service cannot be read.
            WrongTarget: The URL lacks something, or has something that is not known.
        """


def discover() -> Iterator[type[Auditor]]:
    """Yield every auditor of this folder, in the order of file names."""
    for found in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{found.name}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Auditor) and value.__module__ == module.__name__:
                yield value


def find(scheme: str) -> Auditor:
    """Return the auditor for a scheme.

    Raises:
        WrongTarget: None knows it.
    """
    known: list[str] = []
    for auditor in discover():
        if scheme in auditor.schemes:
            return auditor()
        known += auditor.schemes
    raise WrongTarget(f"URL: the scheme is none of {', '.join(known)}")


@contextmanager
def translate_malformed(target: Target) -> Generator[None]:
    """Turn what a reply of an unknown form causes into one line.

    Raises:
        AuditUnavailable: A reply has another form than this system's.
    """
    try:
        yield
    except WrongTarget:
        raise
    except (TypeError, ValueError, LookupError, AttributeError, RecursionError, struct.error) as error:
        raise AuditUnavailable(f"URL {target.shown}: a reply is none of this system ({type(error).__name__})") from None


def import_driver(name: str, package: str) -> Any:
    """Import a driver that only this system needs.

    Raises:
        AuditUnavailable: It is not installed; the message names the package.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise AuditUnavailable(
            f"this system is read by {package}, which is not installed: pip install {package}"
        ) from None


def sort_proofs(seen: Calls, proofs: Iterable[SeenCall]) -> tuple[SeenCall, ...]:
    """Return these calls, the most frequent first."""
    return tuple(sorted(set(proofs), key=lambda call: (-seen[call].count, call.statement, call.place)))
