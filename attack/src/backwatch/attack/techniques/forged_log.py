"""D10: an error text attacks the terminal that displays the app's log."""

import io
import logging
from abc import abstractmethod
from typing import ClassVar

from backwatch.attack.scenarios import Scenario

FORGED = "no such basket\x1b[1A\x1b[2K\rINFO order 7 is paid in full"
"""Moves one line up, clears it, and writes another in its place."""


class LogsErrors(Scenario):
    """An app that logs error texts unescaped."""

    code = "D10"
    attack = "refuses with a text that rewrites lines of the terminal that shows the app's log"
    reference = "https://cwe.mitre.org/data/definitions/150.html; https://cwe.mitre.org/data/definitions/117.html"
    notices = "an error, where the log is not read on a terminal"
    rule = "deceptive-error-text"

    errors: ClassVar[str]
    """The driver's base class of all errors, ``module.Class``."""

    @abstractmethod
    def ask(self) -> object:
        """Do the ordinary work."""

    def work(self) -> None:
        """Do the ordinary work."""
        self.ask()

    def meet(self) -> object:
        """Repeat the work, and return the logged text."""
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
        """Return the text to log."""
        return error

    @classmethod
    def has_succeeded(cls, service: object, got: object) -> bool:
        """Return whether the log contains the text unescaped."""
        del service
        return isinstance(got, str) and "\x1b[2K" in got
