"""Facts of a socket, as keyword arguments of ``Session``, and bounded text."""

from collections.abc import Callable
from typing import Any, TypedDict
from weakref import ref


class PeerFacts(TypedDict, total=False):
    """The peer of a socket."""

    transport: str
    peer_address: str
    peer_port: int


def descriptor(socket: Any) -> int:
    """Return the file descriptor, or -1 where the socket is closed."""
    try:
        number = socket.fileno()
    except (AttributeError, OSError, ValueError):
        return -1
    return number if isinstance(number, int) else -1


def weakly(socket: Any) -> Callable[[], Any]:
    """Return a weak reference to a socket. asyncio returns a substitute object, so to the socket below it."""
    try:
        return ref(getattr(socket, "_sock", None) or socket)
    except TypeError:  # uvloop's
        return lambda: socket


def peer(socket: Any) -> PeerFacts:
    """Return the numeric address of the peer, or the path of a unix socket; empty where the socket is closed."""
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
    """Return the object that ``read_tls_facts`` accepts: the socket itself where it uses TLS, else ``None``."""
    if hasattr(socket, "cipher") and hasattr(socket, "getpeercert") and hasattr(socket, "context"):
        return socket
    if hasattr(socket, "getpeercert") and hasattr(socket, "version") and not hasattr(socket, "sslobj"):
        return socket  # pyOpenSSL below urllib3: it exposes neither cipher nor context, and still is TLS
    return getattr(socket, "sslobj", None)  # urllib3's TLS inside TLS


def words(value: object, limit: int = 120) -> str:
    """Return a value of the server as bounded printable text; ``""`` for ``None``."""
    if value is None:
        return ""
    text = value.decode("utf-8", "replace") if isinstance(value, (bytes, bytearray)) else str(value)
    text = text[:limit]
    return text if text.isprintable() else "".join(character if character.isprintable() else "?" for character in text)


def root_error(error: BaseException) -> BaseException:
    """Return the TLS library's error below a driver's: the cause of a failed handshake. Else the error itself."""
    below: BaseException | None = error
    for _ in range(5):
        if below is None:
            break
        if type(below).__module__ == "ssl":
            return below
        inner = below.args[0] if below.args and isinstance(below.args[0], BaseException) else None
        below = inner or below.__cause__ or below.__context__
    return error
