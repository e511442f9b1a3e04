"""pymemcache: clients of one server, pools of them, and clients that spread keys over several servers."""

from typing import Any, ClassVar, Final

from backwatch.resource.checked_tls import CheckedContext
from backwatch.resource.errors import ResourceUnsafe
from backwatch.resource.opening import Attachment, Session, read_peer
from backwatch.resource.replies import MeteredSocket, ReplyMeter, raise_refusal
from backwatch.resource.systems import Driver
from backwatch.resource.systems.memcached.serde import CheckedSerde

CONTROLLED: Final = ("tls_context", "server", "servers", "socket_module")
MAX_LINE_FIELDS: Final = 5
MATCH_FIX: Final = "Restart the connections; if it happens again, look for a proxy that mixes up answers"


class PyMemcache(Driver):
    """Clients whose serde opens no format that runs code, and that accept answers to their own questions only.

    With ``ignore_exc``, a client of one server takes errors for misses, as it always did, but not refusals. The library
    itself hides those from users of a pool or of several servers that set it: they see a miss.
    """

    module: ClassVar = "pymemcache"
    system: ClassVar = "memcached"
    schemes: ClassVar = ("memcached", "memcacheds")
    default_port: ClassVar = 11211
    cannot: ClassVar = {
        "auth": "the text protocol has no login; TLS and the network guard the service",
        "statement_timeout_s": "the protocol has none; read_timeout_s ends the wait",
        "read_only": "the protocol has no such session",
        "max_rows": "replies are no rows; max_reply_bytes limits them",
    }

    def client(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return a client of the URL's server, or of several: ``Client`` or ``HashClient``."""
        import pymemcache
        import pymemcache.client.hash as several

        parameters = _parameters(attachment, options)
        endpoints = attachment.url.endpoints(self.default_port)
        if len(endpoints) <= 1:
            ignores = parameters.pop("ignore_exc", False)
            return check_client(attachment, pymemcache.Client, ignores=ignores)(*_server(attachment), **parameters)
        base: Any = several.HashClient

        class CheckedHashClient(base):
            """The library's own client."""

            client_class = check_client(attachment, pymemcache.Client)

        return CheckedHashClient(endpoints, **parameters)

    def pool(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return a ``PooledClient``, which threads may share."""
        import pymemcache

        base: Any = pymemcache.PooledClient

        class CheckedPooledClient(base):
            """The library's own client."""

            client_class = check_client(attachment, pymemcache.Client)

        return CheckedPooledClient(*_server(attachment), **_parameters(attachment, options))

    def refuse_error(self, attachment: Attachment, error: Exception) -> None:
        """Find the refusal in the library's error."""
        raise_refusal(attachment, error)


def _server(attachment: Attachment) -> tuple[Any]:
    host, port = (attachment.url.endpoints(attachment.default_port) or [("", 0)])[0]
    return ((host, port),) if host else (f"/{attachment.url.path}",)


def _parameters(attachment: Attachment, options: dict[str, Any]) -> dict[str, Any]:
    from pymemcache.serde import LegacyWrappingSerde

    policy = attachment.policy
    attachment.check_places()
    serde: Any = options.pop("serde", None) or LegacyWrappingSerde(
        options.pop("serializer", None), options.pop("deserializer", None)
    )
    parameters: dict[str, Any] = {"serde": CheckedSerde(attachment, serde)}
    by_scheme = attachment.url.scheme == "memcacheds"
    if policy.enforced:
        attachment.refuse_option(options, CONTROLLED, "tls")
        parameters |= {
            "connect_timeout": policy.seconds("connect_timeout_s"), "timeout": policy.seconds("read_timeout_s"),
        }  # fmt: skip
        if by_scheme or attachment.needs_tls:
            parameters["tls_context"] = CheckedContext.make(attachment, metered=True)
    elif by_scheme:
        import ssl

        parameters["tls_context"] = ssl.create_default_context()
    return {**parameters, **options}


def check_client(attachment: Attachment, base: Any, *, ignores: bool = False) -> Any:
    """Return a subclass of the library's client of one server.

    Args:
        attachment: URL and policy.
        base: ``Client``.
        ignores: Whether it takes errors for misses.
    """

    class CheckedClient(base):
        """The library's own client."""

        def _connect(self) -> None:
            try:
                super()._connect()
            except Exception as error:
                raise_refusal(attachment, error)
                raise
            try:
                if self.tls_context is None:
                    attachment.check_session(Session(tls=False), address=read_peer(self.sock.fileno()))
                if self.tls_context is None and attachment.policy.enforced:
                    self.sock = MeteredSocket.take(self.sock)
                    self.sock.meter, self.sock.per_request = ReplyMeter(attachment), True
                if attachment.policy.text("min_version"):
                    attachment.check_version(bytes(self.version()).decode("ascii", "replace"))
            except ResourceUnsafe:
                self.close()
                raise

        def _extract_value(self, expect_cas: bool, line: bytes, buffer: bytes, asked: Any, keys: Any) -> Any:
            fields = line.split(None, MAX_LINE_FIELDS)
            if attachment.policy.flag("match_replies") and (len(fields) < 4 or fields[1] not in asked):
                attachment.refuse("match_replies", "the service answers with a key that was not asked for", MATCH_FIX)
            if len(fields) >= 4 and fields[3].isdigit():
                ReplyMeter(attachment).add(int(fields[3][:20]))
            return super()._extract_value(expect_cas, line, buffer, asked, keys)

        def _fetch_cmd(self, *arguments: Any, **options: Any) -> Any:
            try:
                return super()._fetch_cmd(*arguments, **options)
            except Exception as error:
                raise_refusal(attachment, error)
                if ignores:
                    return {}
                raise

    CheckedClient.__name__ = CheckedClient.__qualname__ = base.__name__
    return CheckedClient
