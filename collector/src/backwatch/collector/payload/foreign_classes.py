"""Classes that serialised objects of Java, .NET, PHP and Ruby name. Whether they are harmful, a rule decides."""

import re
from collections.abc import Iterable
from itertools import islice
from typing import Final

MAX_CLASSES: Final = 16
_JAVA: Final = re.compile(rb"[rv]\x00([\x03-\xc8])([\w.$\[;/]{3,200})")
_DOTNET: Final = re.compile(rb"([\x05-\x7f])((?:[A-Z]\w{1,60}\.){1,8}[A-Z][\w`+]{1,80})")
_PHP: Final = re.compile(rb'[OCE]:(\d{1,4}):"([\w\\:]{1,200})"[:;]')
_PHP_START: Final = re.compile(
    rb'(?:[\w-]{1,60}\|)?(?:a:\d{1,8}:\{|[OC]:\+?\d{1,4}:"|[sS]:\d{1,8}:"|E:\d{1,4}:"|[bid]:[\d.]{1,20};)'
)
_PHP_SIGNED: Final = re.compile(rb"([OC]:)\+(?=\d)")
"""A number with a sign, which PHP read up to version 7.1."""
_RUBY: Final = re.compile(rb"[ouUCSce](?:([\x06-\x7f])|:([\x06-\x7f]))((?:[A-Z]\w{0,60}::){0,6}[A-Z]\w{0,80})")


def java_classes(head: bytes) -> list[str]:
    """Return the classes that a stream of Java's serialisation describes.

    >>> java_classes(b"\\xac\\xed\\x00\\x05sr\\x00\\x11java.util.HashMap")
    ['java.util.HashMap']
    """
    names = (
        match[2][: match[1][0]].decode("ascii", "replace").replace("/", ".").lstrip("[L").rstrip(";")
        for match in islice(_JAVA.finditer(head), 8 * MAX_CLASSES)
        if len(match[2]) >= match[1][0]
    )
    return _distinct(names)


def dotnet_classes(head: bytes) -> list[str]:
    """Return the classes that a stream of .NET's BinaryFormatter names, without its assemblies."""
    names = (
        match[2][: match[1][0]].decode("ascii", "replace")
        for match in islice(_DOTNET.finditer(head), 8 * MAX_CLASSES)
        if len(match[2]) >= match[1][0] or head[match.end() : match.end() + 1] in (b"[", b",", b"`")
    )
    return _distinct(names)


def ruby_classes(head: bytes) -> list[str]:
    """Return the classes that a dump of Ruby's Marshal names."""
    names: list[str] = []
    for match in islice(_RUBY.finditer(head), 8 * MAX_CLASSES):
        size = (match[1] or match[2])[0] - 5
        if 0 < size <= len(match[3]):
            names.append(match[3][:size].decode("ascii", "replace"))
    return _distinct(names)


def php_classes(head: bytes) -> list[str] | None:
    """Return the classes of serialised PHP, also inside of lists and sessions; ``None``: it is no such data.

    >>> php_classes(b'a:1:{i:0;O:8:"Log\\\\Sink":0:{}}'), php_classes(b"a: 1"), php_classes(b'a:1:{i:0;s:1:"x";}')
    (['Log\\\\Sink'], None, [])
    """
    if not _PHP_START.match(head):
        return None
    head = _PHP_SIGNED.sub(rb"\1", head)
    names = (
        match[2].decode("ascii", "replace")
        for match in islice(_PHP.finditer(head), 8 * MAX_CLASSES)
        if int(match[1]) == len(match[2]) and head[match.start() - 1 : match.start()] in (b"", b";", b"{", b"|", b":")
    )
    return _distinct(names)


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))[:MAX_CLASSES]
