"""Terminal output of the attack commands. Texts of services and drivers never act as markup or control characters."""

import sys

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPE_WIDTH = 180
"""Columns of a table if the output is no terminal."""
COLOURS = {
    "critical": "bold white on red", "high": "bold red", "medium": "yellow", "low": "cyan", "informational": "dim",
}  # fmt: skip
"""Styles of the levels of alerts."""


def printable(text: str) -> str:
    """Return the text without terminal control characters.

    >>> printable("a\\x1b[31mb")
    'a�[31mb'
    """
    return "".join(character if character.isprintable() or character == "\n" else "�" for character in text)


def open_console(width: int = PIPE_WIDTH, *, stderr: bool = False) -> Console:
    """Return a console as wide as the terminal, or of this width if there is none."""
    return Console(width=None if sys.stdout.isatty() else width, stderr=stderr)


class Terminal:
    """Lines, steps and tables on a console."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def step(self, text: str) -> None:
        """Print one step of the setup."""
        self.print_line(Text("· " + printable(text), style="dim"))

    def end(self, text: str, *, good: bool) -> None:
        """Print a summary line."""
        self.print_line(Text(text, style="bold green" if good else "bold red"))

    def print_line(self, text: Text) -> None:
        """Print a line; it is wrapped on a terminal only."""
        self.console.print(text, soft_wrap=not self.console.is_terminal, highlight=False)

    def print_table(self, table: Table) -> None:
        """Print a table after an empty line."""
        self.console.print()
        self.console.print(table)

    @staticmethod
    def new_table() -> Table:
        """Return an empty table."""
        return Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1, 0, 0), border_style="dim", header_style="dim")
