"""The files that rules stand in, and where in one of them a fault is."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from backwatch.collector.settings import SettingError
from backwatch.detector.rules.conditions import RuleError
from backwatch.detector.rules.documents import Document, split

MAX_FILE_BYTES = 64 * 1024
"""Bytes of a rule file that are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A document that is nothing we can judge by.

    Attributes:
        file: Its path, or what else it is called.
        line: From 1, as near as can be told.
    """

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """A document, and the file it stands in.

    Attributes:
        file: The file's path, or what else it is called.
        source: What an error calls it.
    """

    file: str
    source: str
    document: Document

    def line(self, where: str, problem: str = "") -> int:
        """The file's line that this field stands on, as near as can be told."""
        return self.document.line - 1 + find_line(self.document.text, where, problem)

    def fault(self, error: RuleError) -> Fault:
        """What to tell of this document's error."""
        line = self.line(error.where, error.problem)
        return Fault(file=self.file, line=line, reason=f"{error.where}: {error.problem}")


def read_documents(file: str, source: str, text: str) -> list[SourceDocument]:
    """The documents of one file's text."""
    return [SourceDocument(file, source, one) for one in split(text)]


def list_user_files(rules_directory: str, setting: str) -> list[Path]:
    """The rule files of a folder, by name; none where no folder is named.

    Raises:
        SettingError: There is no such folder.
    """
    if not rules_directory:
        return []
    folder = Path(rules_directory)
    if not folder.is_dir():
        raise SettingError(f"{setting}={rules_directory!r}: is not a folder")
    return sorted(one for one in folder.iterdir() if one.suffix in (".yml", ".yaml"))


def read_user_documents(rules_directory: str, setting: str) -> Iterator[SourceDocument | Fault]:
    """Every document of a folder, and the files that cannot be read.

    Raises:
        SettingError: There is no such folder.
    """
    for path in list_user_files(rules_directory, setting):
        try:
            yield from read_documents(str(path), path.name, _text(path))
        except RuleError as error:
            yield Fault(file=str(path), line=1, reason=f"{error.where}: {error.problem}")


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise RuleError(path.name, "document", f"cannot be read: {error.strerror}") from None
    if len(content) > MAX_FILE_BYTES:
        raise RuleError(path.name, "document", f"is larger than {MAX_FILE_BYTES} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise RuleError(path.name, "document", "is not UTF-8 text") from None


def find_line(text: str, where: str, problem: str = "") -> int:
    """The line, from 1, that a fault of this field stands on; where YAML itself could not be read, the one it names.

    >>> find_line("title: T\\nbackwatch:\\n  key: host\\n", "backwatch.key")
    3
    """
    named = re.search(r"line (\d+)", problem) if where == "document" else None
    if named:
        return int(named[1])
    lines = text.splitlines()
    for word in (where, where.rpartition(".")[2], where.partition(".")[2], where.partition(".")[0]):
        key = word.partition("[")[0]
        for number, line in enumerate(lines, 1):
            if key and re.match(rf"[\s-]*['\"]?{re.escape(key)}['\"]?(?:\||\s*:)", line):
                return number
    return 1
