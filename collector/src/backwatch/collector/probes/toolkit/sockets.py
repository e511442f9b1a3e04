"""The other end of a socket, as keyword arguments of ``Session``."""

from collections.abc import Callable
from typing import Any, TypedDict
from weakref import ref


class PeerFacts(TypedDict, total=False):
    """What the socket knows of its peer."""

    transport: str
    peer_address: str
    peer_port: int


def descriptor(socket: Any) -> int:
    """The file descriptor, or -1 where there is none any more."""
    try:
        number = socket.fileno()
    except (AttributeError, OSError, ValueError):
        return -1
    return number if isinstance(number, int) else -1


def weakly(socket: Any) -> Callable[[], Any]:
    """The socket while somebody else keeps it; asyncio hands out another object in its place, so the one below that."""
    try:
        return ref(getattr(socket, "_sock", None) or socket)
    except TypeError:  # uvloop's
        return lambda: socket


def peer(socket: Any) -> PeerFacts:
    """The numeric address of the peer, or the path of a unix socket; empty where the socket is closed."""
    try:
        name = socket.getpeername()
    except (AttributeError, OSError, ValueError):
        return {}
    if isinstance(name, tuple) and len(name) >= 2:
        return {"transport": "tcp", "peer_address": str(name[0]), "peer_port": int(name[1])}
    if isinstance(name, (str, bytes)):
        text = name if isinstance(name, str) else name.decode("utf-8", "backslashreplace")
        return {"transport": "unix", "peer_address": text[:200]}
    return {}


def tls_of(socket: Any) -> Any:
    """The object that ``tls.read_tls_facts`` understands: the socket itself where it speaks TLS, else ``None``."""
    if hasattr(socket, "cipher") and hasattr(socket, "getpeercert") and hasattr(socket, "context"):
        return socket
    if hasattr(socket, "getpeercert") and hasattr(socket, "version") and not hasattr(socket, "sslobj"):
        return socket  # pyOpenSSL below urllib3: it does not tell cipher or context, and is TLS all the same
    return getattr(socket, "sslobj", None)  # urllib3's TLS inside TLS


def words(value: object, limit: int = 120) -> str:
    """What a server says of itself, as bounded printable text; ``""`` for ``None``."""
    if value is None:
        return ""
    text = value.decode("utf-8", "replace") if isinstance(value, (bytes, bytearray)) else str(value)
    text = text[:limit]
    return text if text.isprintable() else "".join(one if one.isprintable() else "?" for one in text)


def root_error(error: BaseException) -> BaseException:
    """The TLS library's own error below a driver's: what went wrong with the handshake. Else the error itself."""
    below: BaseException | None = error
    for _ in range(5):
        if below is None:
            break
        if type(below).__module__ == "ssl":
            return below
        inner = below.args[0] if below.args and isinstance(below.args[0], BaseException) else None
        below = inner or below.__cause__ or below.__context__
    return error
