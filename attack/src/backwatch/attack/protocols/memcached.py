"""An honest memcached over TLS, text protocol, for scenarios to extend."""

from backwatch.attack.protocols.server import MAX_KEPT, HostileServer, ServerSession


class Memcached(HostileServer):
    """Stores baskets."""

    name = "memcached"
    attack = "is honest"
    reference = "https://github.com/memcached/memcached/blob/master/doc/protocol.txt"
    driver = "pymemcache"
    rule = "hostile-payload"

    def serve(self, session: ServerSession) -> None:
        """Serve commands until the client leaves."""
        session.secure()
        stored: dict[bytes, tuple[bytes, bytes]] = {}
        while True:
            verb, *given = session.line().split()
            if verb in (b"set", b"add", b"replace") and len(given) >= 4:
                if len(stored) >= MAX_KEPT:
                    stored.clear()
                stored[given[0]] = (given[1], session.read(int(given[3])))
                session.read(2)
                if given[-1] != b"noreply":
                    session.send(b"STORED\r\n")
            elif verb in (b"get", b"gets"):
                found = ((key, self.value(key, stored.get(key))) for key in given[:MAX_KEPT])
                session.send(
                    b"".join(_value(self.key(key), *value) for key, value in found if value is not None) + b"END\r\n"
                )
            elif verb == b"stats":
                items = (b"ITEM %s [%d b; 0 s]\r\n" % (key, len(value)) for key, (_, value) in stored.items())
                session.send(b"".join(items) + b"END\r\n")
            elif verb == b"quit":
                return
            elif verb == b"version":
                session.send(b"VERSION 1.6.24\r\n")
            elif given[-1:] != [b"noreply"]:
                session.send(b"OK\r\n")

    def key(self, asked: bytes) -> bytes:
        """Return the key for the response; the requested one here."""
        return asked

    def value(self, key: bytes, stored: tuple[bytes, bytes] | None) -> tuple[bytes, bytes] | None:
        """Return flags and bytes for the response; the stored ones here."""
        del key
        return stored


def _value(key: bytes, flags: bytes, value: bytes) -> bytes:
    return b"VALUE %s %s %d\r\n%s\r\n" % (key, flags, len(value), value)
