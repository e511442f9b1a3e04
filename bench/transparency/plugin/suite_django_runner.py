"""Django's test runner, with the bench's result class."""

from typing import Any

from django.test.runner import DiscoverRunner
from suite_outcomes import Result  # pyright: ignore[reportMissingImports]  this folder is on the suite's path


class Runner(DiscoverRunner):
    """A runner that reports each test's result."""

    def get_resultclass(self) -> Any:
        """Return the bench's result class, not those that show SQL or open a debugger."""
        return Result
