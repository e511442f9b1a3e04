"""The services that can be attached: a folder per protocol, a file per client library. A new one is one new file.

A file holds a subclass of :class:`Driver`; it is found by walking the folders.
"""

import importlib
import importlib.util
import pkgutil
import sys
from abc import ABC
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, ClassVar

from backwatch.resource.checks import CHECKS
from backwatch.resource.errors import DriverMissing, ResourceMisconfigured, ResourceUnsafe
from backwatch.resource.opening import Attachment
from backwatch.resource.plain_text import shorten
from backwatch.resource.policy import Policy
from backwatch.resource.url import ServiceUrl


class Driver(ABC):
    """One client library: how it is opened as a policy asks. Without state.

    A kind of opening is a method of that name (``connect``, ``pool``, ``client``, ``session``, ``engine``, with ``a``
    before it for the asynchronous twin) that takes the attachment and the caller's options. A method that is missing is
    a kind that the library does not have.

    Attributes:
        module: Import name; empty: SQLAlchemy's or Python's own.
        package: What to install.
        system: The service's kind, as OpenTelemetry names it.
        schemes: Of URLs, with TLS in the name or not.
        default_port: Of the protocol.
        ports: Default ports of schemes that have another one.
        aliases: Other names that may stand after ``+`` in a scheme, SQLAlchemy's for example.
        rank: Order among the libraries of a scheme; the lowest that is installed is taken.
        variants: What may stand after ``+`` in the scheme instead of a library's name, ``srv``.
        cannot: Settings that this library cannot keep, with the reason; shown by the documentation.
    """

    module: ClassVar[str]
    package: ClassVar[str] = ""
    system: ClassVar[str]
    schemes: ClassVar[Sequence[str]]
    default_port: ClassVar[int]
    ports: ClassVar[Mapping[str, int]] = {}
    aliases: ClassVar[Sequence[str]] = ()
    rank: ClassVar[int] = 50
    variants: ClassVar[Sequence[str]] = ()
    cannot: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def is_installed(cls) -> bool:
        """Return whether the library can be imported."""
        if cls.module in sys.modules:  # kombu, once imported, has no specification
            return True
        try:
            return importlib.util.find_spec(cls.module) is not None
        except (ImportError, ValueError):
            return False

    def locate(self, name: str, url: ServiceUrl) -> ServiceUrl:
        """Return a URL whose hosts are those of the service; by default, it has them already."""
        del name
        return url

    def kinds(self) -> list[str]:
        """Return the kinds of opening that it has."""
        return [kind for kind in KINDS if hasattr(self, kind)]

    def open(self, attachment: Attachment, kind: str, options: dict[str, Any]) -> Any:
        """Open it; errors that a check caused become :class:`ResourceUnsafe`."""
        opener = self._opener(attachment, kind)
        try:
            return opener(attachment, options)
        except ResourceUnsafe:
            raise
        except Exception as error:
            self.refuse_error(attachment, error)
            raise

    async def open_async(self, attachment: Attachment, kind: str, options: dict[str, Any]) -> Any:
        """Open its asynchronous twin."""
        opener = self._opener(attachment, kind)
        try:
            return await opener(attachment, options)
        except ResourceUnsafe:
            raise
        except Exception as error:
            self.refuse_error(attachment, error)
            raise

    def refuse_error(self, attachment: Attachment, error: Exception) -> None:
        """Raise what a check made of a driver's error; by default, errors of TLS."""
        attachment.refuse_error(error)

    def _opener(self, attachment: Attachment, kind: str) -> Any:
        opener = getattr(self, kind, None)
        if opener is None:
            kinds = ", ".join(f"{each}()" for each in self.kinds())
            raise TypeError(f"{attachment.name}: {self.module} has no {kind}(); it has {kinds}")
        return opener


KINDS = ("connect", "pool", "client", "session", "engine", "aconnect", "apool", "aclient", "asession", "aengine")


@cache
def discover() -> list[type[Driver]]:
    """Return all drivers, by rank."""
    found: dict[str, type[Driver]] = {}
    for module in pkgutil.walk_packages(__path__, f"{__name__}."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, Driver) and value.__dict__.get("module"):
                found[f"{value.__module__}.{value.__qualname__}"] = value
    return sorted(found.values(), key=lambda driver: (driver.rank, driver.module))


def choose_driver(name: str, url: ServiceUrl, policy: Policy) -> Driver:
    """Return the client library for a URL: the one that the policy or the scheme names, else the first installed.

    Raises:
        ResourceMisconfigured: No service has this scheme, or the named library is not one of its.
        DriverMissing: None is installed.
    """
    candidates = [driver for driver in discover() if url.scheme in driver.schemes]
    if not candidates:
        known = sorted({scheme for driver in discover() for scheme in driver.schemes})
        raise ResourceMisconfigured(f"{name}: {shorten(url.scheme)}:// is not known; known are {', '.join(known)}")
    variants = {variant for driver in candidates for variant in driver.variants}
    if wanted := policy.text("driver") or ("" if url.driver in variants else url.driver):
        candidates = [driver for driver in candidates if wanted in (driver.module.lower(), *driver.aliases)]
        if not candidates:
            raise ResourceMisconfigured(f"{name}: driver = {shorten(wanted)!r} is no client library of {url.scheme}")
    for driver in candidates:
        if driver.is_installed():
            for setting, reason in driver.cannot.items():
                if setting in policy.sources and policy.values[setting] != CHECKS[setting].default:
                    raise ResourceMisconfigured(f"{name}: {setting} cannot be kept by {driver.module}: {reason}")
            return driver()
    packages = " or ".join(driver.package or driver.module for driver in candidates)
    raise DriverMissing(f"{name}: no client library of {url.scheme} is installed; install {packages}")
