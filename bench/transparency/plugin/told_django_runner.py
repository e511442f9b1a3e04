"""Django's test runner, with our result class."""

from typing import Any

from django.test.runner import DiscoverRunner
from told_outcomes import Result  # pyright: ignore[reportMissingImports]  this folder is on the suite's path


class Runner(DiscoverRunner):
    """Tells how each test ended."""

    def get_resultclass(self) -> Any:
        """Ours, and not those that show SQL or open a debugger."""
        return Result
