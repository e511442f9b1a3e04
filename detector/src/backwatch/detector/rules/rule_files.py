"""Files of rules, and the lines of their faults."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from backwatch.collector.settings import SettingError
from backwatch.detector.rules.conditions import RuleError
from backwatch.detector.rules.documents import Document, split_documents

MAX_FILE_BYTES = 64 * 1024
"""Maximum size of a rule file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A document that is not a valid rule, filter or correlation.

    Attributes:
        file: Its path or name.
        line: From 1, as close as possible.
    """

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """A document with its file.

    Attributes:
        file: The file's path or name.
        source: Its name in errors.
    """

    file: str
    source: str
    document: Document

    def line(self, where: str, problem: str = "") -> int:
        """Return the file's line of this field, as close as possible."""
        return self.document.line - 1 + find_line(self.document.text, where, problem)

    def fault(self, error: RuleError) -> Fault:
        """Return the fault for this document's error."""
        line = self.line(error.where, error.problem)
        return Fault(file=self.file, line=line, reason=f"{error.where}: {error.problem}")


def read_documents(file: str, source: str, text: str) -> list[SourceDocument]:
    """Return the documents of one file's text."""
    return [SourceDocument(file, source, document) for document in split_documents(text)]


def list_user_files(rules_directory: str, setting: str) -> list[Path]:
    """Return the rule files of a folder, sorted by name; none where no folder is set.

    Raises:
        SettingError: The folder does not exist.
    """
    if not rules_directory:
        return []
    folder = Path(rules_directory)
    if not folder.is_dir():
        raise SettingError(f"{setting}={rules_directory!r}: is not a folder")
    return sorted(path for path in folder.iterdir() if path.suffix in (".yml", ".yaml"))


def read_user_documents(rules_directory: str, setting: str) -> Iterator[SourceDocument | Fault]:
    """Yield every document of a folder, and a fault for each file that cannot be read.

    Raises:
        SettingError: The folder does not exist.
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
    """Return the line, from 1, of this field; for errors of YAML, the line that the error names.

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
