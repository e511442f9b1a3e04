"""An honest Redis over TLS, alone or as a one-node cluster, for scenarios to extend."""

from dataclasses import dataclass, field

from backwatch.attack.protocols.server import MAX_KEPT, MAX_MESSAGE_BYTES, HostileServer, ServerSession

SLOTS = 16_384


@dataclass(slots=True)
class Talk:
    """State of one session: stored values, and whether it speaks RESP3."""

    stored: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    resp3: bool = False


class RedisServer(HostileServer):
    """Stores baskets. ``kept`` records the commands if it is enabled."""

    name = "redis"
    attack = "is honest"
    reference = "https://redis.io/docs/latest/develop/reference/protocol-spec/"
    driver = "redis"
    rule = "redirected"

    def serve(self, session: ServerSession) -> None:
        """Negotiate TLS, then serve commands."""
        session.secure()
        self.obey(session)

    def obey(self, session: ServerSession) -> None:
        """Serve commands, one after the other."""
        talk = Talk()
        while True:
            command = self.read_command(session)
            verb = command[0].upper() if command else b""
            self.on_leak(b" ".join(command))
            if verb == b"HELLO":
                talk.resp3 = len(command) > 1 and command[1] == b"3"
                session.send(self.hello(resp3=talk.resp3))
            else:
                session.send(self.answer(verb, command, talk) or (b"_\r\n" if talk.resp3 else b"$-1\r\n"))

    def answer(self, verb: bytes, command: list[bytes], talk: Talk) -> bytes:
        """Return a reply; empty: the key does not exist."""
        if verb in (b"SET", b"SETEX") and len(command) > 2:
            if len(talk.stored) >= MAX_KEPT:
                talk.stored.clear()
            talk.stored[command[1]] = command[-1] if verb == b"SETEX" else command[2]
        elif verb == b"GET" and len(command) > 1:
            value = talk.stored.get(command[1])
            return b"" if value is None else bulk(value)
        elif verb == b"CLUSTER":
            return self.cluster(command[1].upper() if len(command) > 1 else b"")
        elif verb == b"COMMAND":
            return b"*2\r\n" + _command(b"get", b"readonly") + _command(b"set", b"write")
        elif verb == b"INFO":
            return bulk(b"# Server\r\nredis_version:7.2.11\r\nredis_mode:cluster\r\n# Cluster\r\ncluster_enabled:1\r\n")
        return b"+PONG\r\n" if verb == b"PING" else b"+OK\r\n"

    def cluster(self, what: bytes) -> bytes:
        """Return the reply to a cluster command: one node has all slots."""
        if what != b"SLOTS":
            return bulk(b"cluster_state:ok\r\ncluster_size:1\r\n")
        node = b"*3\r\n" + bulk(b"localhost") + b":%d\r\n" % self.port + bulk(b"0" * 40)
        return b"*1\r\n*3\r\n:0\r\n:%d\r\n" % (SLOTS - 1) + node

    @staticmethod
    def hello(*, resp3: bool) -> bytes:
        """Return the reply to HELLO, in RESP3 or RESP2."""
        facts = ((b"server", b"redis"), (b"version", b"7.2.11"), (b"role", b"master"))
        head = b"%%%d\r\n" % (len(facts) + 1) if resp3 else b"*%d\r\n" % (2 * len(facts) + 2)
        return (
            head
            + b"".join(bulk(name) + bulk(value) for name, value in facts)
            + bulk(b"proto")
            + (b":3\r\n" if resp3 else b":2\r\n")
        )

    @staticmethod
    def read_command(session: ServerSession) -> list[bytes]:
        """Return the next command and its arguments."""
        head = session.line()
        if not head.startswith(b"*"):
            return head.split()
        parts: list[bytes] = []
        count, size = int(head[1:]), 0
        for _ in range(count):
            length = int(session.line()[1:])
            size += length
            if count > MAX_KEPT or size > MAX_MESSAGE_BYTES:
                raise ValueError("a command of that size is no driver's")
            parts.append(session.read(length))
            session.read(2)
        return parts


def bulk(value: bytes) -> bytes:
    """Return a value as a RESP bulk string."""
    return b"$%d\r\n%s\r\n" % (len(value), value)


def _command(name: bytes, kind: bytes) -> bytes:
    return b"*6\r\n" + bulk(name) + b":-2\r\n*1\r\n+" + kind + b"\r\n:1\r\n:1\r\n:1\r\n"
