"""YAML tags that build objects: ``!!python/…``, ``!ruby/object``, classes of Java.

A tag may be spelled in several ways: percent-encoded, in angle brackets, by a handle that ``%TAG`` declares. Each is
resolved as a parser does it before it is judged.
"""

import re
from itertools import islice
from typing import Final
from urllib.parse import unquote_to_bytes

MAX_TAGS: Final = 4_096
"""Tags of one document that are resolved."""
MAX_HANDLES: Final = 16
_STANDARD: Final = b"tag:yaml.org,2002:"
_TOKEN: Final = re.compile(rb"!(?<!\w!)(?:<([^>\s]{1,300})>|([^\s,\[\]{}\"']{2,300}))")
_HANDLE: Final = re.compile(rb"%TAG[ \t]{1,8}(![\w-]{0,60}!?)[ \t]{1,8}(\S{1,200})")
_STRUCTURE: Final = re.compile(rb"(?:\A|[\n\r:\-\[{,?]\s{0,8})(?:&\S{1,60}\s{1,8})?\Z")
"""What stands before a tag, unlike before an exclamation mark in prose."""
_STRUCTURE_BYTES: Final = 80
_NAMING: Final = re.compile(rb"[/.:]")
"""What a tag that names a class contains."""
_PYTHON: Final = re.compile(
    rb"(?:tag:yaml\.org,2002:|!)python/(?:object/apply|object/new|object|name|module):([\w.]{1,120})"
)
_RUBY: Final = re.compile(
    rb"(?:!|tag:yaml\.org,2002:|tag:ruby\.yaml\.org,2002:)(?:ruby/)?"
    rb"(?:object|hash|struct|class|module|array|exception|marshalable)(?:-with-ivars)?(?::([\w:]{1,120}))?\Z"
)
_JAVA: Final = re.compile(rb"(?:tag:yaml\.org,2002:|!)((?:[a-z_]\w{0,60}\.){1,12}(?:\w{1,80}\$)?[A-Z][\w$]{0,120})\Z")


def find_tags(head: bytes) -> tuple[bool, list[str]]:
    """Return whether a document has such tags, and the names that they load.

    >>> find_tags(b"a: !!%70ython/object/apply:os.system ['id']")
    (True, ['os.system'])
    >>> find_tags(b"Hello! See !!python/object in the docs.")
    (False, [])
    """
    handles = {b"!!": _STANDARD, b"!": b"!"}
    if b"%TAG" in head:
        handles.update((match[1], match[2]) for match in islice(_HANDLE.finditer(head), MAX_HANDLES))
    found: dict[str, None] = {}
    tagged = False
    for token in islice(_TOKEN.finditer(head), MAX_TAGS):
        tag = token[1] or _resolve(token[2], handles)
        if b"%" in tag:
            tag = unquote_to_bytes(tag)
        name = _name(tag)
        if name is not None and _STRUCTURE.search(head, max(0, token.start() - _STRUCTURE_BYTES), token.start()):
            tagged = True
            if name:
                found[name] = None
    return tagged, list(found)


def _resolve(word: bytes, handles: dict[bytes, bytes]) -> bytes:
    """Return the tag that a shorthand stands for; ``word`` follows its first exclamation mark."""
    handle, mark, suffix = word.partition(b"!")
    if mark and (b"!" + handle + b"!") in handles:
        return handles[b"!" + handle + b"!"] + suffix
    return handles[b"!"] + word


def _name(tag: bytes) -> str | None:
    """Return the name that a tag loads, maybe empty; ``None``: the tag is harmless."""
    if not _NAMING.search(tag, len(_STANDARD) if tag.startswith(_STANDARD) else 0):
        return None
    python = _PYTHON.match(tag)
    if python:
        name = python[1].decode("ascii", "replace")
        return name if "." in name else f"{name}.?"
    if tag.startswith((_STANDARD + b"ruby/", b"!ruby/", b"tag:ruby.yaml.org,")):
        ruby = _RUBY.match(tag)
        return (ruby[1] or b"").decode("ascii", "replace") if ruby else None
    java = _JAVA.match(tag)
    return java[1].decode("ascii", "replace") if java else None
