"""gRPC: package, service and method; no message and no metadata."""

import re
from typing import Final

_METHOD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,199}/[A-Za-z_][A-Za-z0-9_]{0,99}")


def redact_method(name: object) -> str:
    """Return a method's full name; ``?`` if it is none.

    >>> redact_method(b"/shop.v1.Orders/GetOrder"), redact_method("/x y"), redact_method(None)
    ('shop.v1.Orders/GetOrder', '?', '?')
    """
    text = name.decode("latin-1") if isinstance(name, bytes) else name
    plain = text.removeprefix("/") if isinstance(text, str) else ""
    return plain if _METHOD.fullmatch(plain) else "?"
