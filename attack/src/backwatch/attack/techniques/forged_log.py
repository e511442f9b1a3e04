"""D10: an error's text is made for the terminal on which somebody reads the app's log."""

import io
import logging
from abc import abstractmethod
from typing import ClassVar

from backwatch.attack.scenarios import Scenario

FORGED = "no such basket\x1b[1A\x1b[2K\rINFO order 7 is paid in full"
"""Goes one line up, clears it, and writes another in its place."""


class LogsErrors(Scenario):
    """An app that writes what went wrong into its log, as it came."""

    code = "D10"
    attack = "refuses with a text that rewrites the lines of whatever terminal shows the app's log"
    reference = "https://cwe.mitre.org/data/definitions/150.html; https://cwe.mitre.org/data/definitions/117.html"
    notices = "an error, where the log is not read on a terminal"
    rule = "deceptive-error-text"

    errors: ClassVar[str]
    """The driver's base of all errors, ``module.Class``."""

    @abstractmethod
    def ask(self) -> object:
        """The ordinary work."""

    def work(self) -> None:
        """As always."""
        self.ask()

    def meet(self) -> object:
        """The same, and what the log got of it."""
        import importlib

        module, _, name = self.errors.rpartition(".")
        written = io.StringIO()
        log = logging.getLogger("shop")
        log.addHandler(logging.StreamHandler(written))
        try:
            return self.ask()
        except getattr(importlib.import_module(module), name) as error:
            log.warning("no answer: %s", self.text_of(error))
        return written.getvalue()

    def text_of(self, error: BaseException) -> object:
        """What is written of it."""
        return error

    @classmethod
    def succeeded(cls, service: object, got: object) -> bool:
        """Return whether the log contains the text unescaped."""
        del service
        return isinstance(got, str) and "\x1b[2K" in got
