"""Signs in comments and blanks: comments that cut off a statement, and blanks that replace spaces."""

import re
from typing import Final

from backwatch.collector.statements import spec
from backwatch.collector.statements.shapes import Shape

ODD_CASE: Final = re.compile(r"[a-z][A-Z]|[A-Z]{2}[a-z]")
_BODY: Final = 4_096
_BETWEEN_LETTERS: Final = re.compile(r"(?<=\w)'(?=\w)")
_LEFT_OVER: Final = re.compile(
    r"[\s\-+]*+(?:$|['\")%;]|(?:AND|OR|LIMIT|ORDER\s+BY|GROUP\s+BY|WHERE|OFFSET|RETURNING|HAVING|FETCH|FOR\s+UPDATE|DESC"
    r"|ASC)\b)",
    re.IGNORECASE,
)
_ODD_BLANK: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u00a0\u3000]")


def comment_signs(shape: Shape, found: set[str]) -> None:
    """Add the signs of the comments in ``shape``."""
    lopsided = shape.words.count("(") != shape.words.count(")")
    for number, (before, (_, start, end)) in enumerate(shape.comments):
        text = shape.text[start : min(end, start + _BODY)]
        if text.startswith("/*"):
            _block(shape, before, start, end, found)
            continue
        if not before or "\n" in shape.text[shape.tokens[before - 1][2] : start]:
            continue  # the comment is a line of its own
        body = _BETWEEN_LETTERS.sub("", text.lstrip("-#"))
        last = before == len(shape.tokens) and number == len(shape.comments) - 1
        quotes = body.count("'") % 2 or body.count('"') % 2
        touching = start == shape.tokens[before - 1][2]
        cuts_off = last and (
            touching or lopsided or _LEFT_OVER.match(body) or (len(body) < 12 and ODD_CASE.search(body))
        )
        if quotes or cuts_off:
            found.add("comment-tail")


def _block(shape: Shape, before: int, start: int, end: int, found: set[str]) -> None:
    text = shape.text
    if text.startswith(("/*!", "/*M!"), start):
        found.add("executable-comment")
    if end - start < 4 or text[end - 2 : end] != "*/":
        found.add("comment-tail")
    elif 0 < before < len(shape.tokens) and end - start < 16:
        left, right = shape.tokens[before - 1], shape.tokens[before]
        if left[2] == start and end == right[1] and spec.WORD in (left[0], right[0]):
            found.add("odd-spacing")


def odd_blanks(shape: Shape) -> bool:
    """Return whether control characters or wide blanks of other scripts separate tokens."""
    if not _ODD_BLANK.search(shape.text):
        return False
    ends = 0
    for _, start, end in shape.tokens:
        if start > ends and _ODD_BLANK.search(shape.text, ends, start):
            return True
        ends = end
    return bool(_ODD_BLANK.search(shape.text, ends))
