"""An honest Redis over TLS, alone or as a one-node cluster, for scenarios to extend."""

from dataclasses import dataclass, field

from backwatch.attack.demo.services.redis import Redis, bulk
from backwatch.attack.protocols.server import MOST_KEPT, HostileServer, Session

SLOTS = 16_384


@dataclass(slots=True)
class Talk:
    """State of one session: stored values, and whether it speaks RESP3."""

    stored: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    three: bool = False


class RedisServer(HostileServer):
    """Stores baskets. ``kept`` records the commands if it is enabled."""

    name = "redis"
    attack = "is honest"
    reference = "https://redis.io/docs/latest/develop/reference/protocol-spec/"
    driver = "redis"
    rule = "redirected"

    def serve(self, session: Session) -> None:
        """Negotiate TLS, then serve commands."""
        session.secure()
        self.obey(session)

    def obey(self, session: Session) -> None:
        """Serve commands, one after the other."""
        talk = Talk()
        while True:
            command = Redis.received(session)
            verb = command[0].upper() if command else b""
            self.taken(b" ".join(command))
            if verb == b"HELLO":
                talk.three = len(command) > 1 and command[1] == b"3"
                session.send(Redis.hello(three=talk.three))
            else:
                session.send(self.answer(verb, command, talk) or (b"_\r\n" if talk.three else b"$-1\r\n"))

    def answer(self, verb: bytes, command: list[bytes], talk: Talk) -> bytes:
        """Return a reply; empty: the key does not exist."""
        if verb == b"SET" and len(command) > 2:
            if len(talk.stored) >= MOST_KEPT:
                talk.stored.clear()
            talk.stored[command[1]] = command[2]
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


def _command(name: bytes, kind: bytes) -> bytes:
    return b"*6\r\n" + bulk(name) + b":-2\r\n*1\r\n+" + kind + b"\r\n:1\r\n:1\r\n:1\r\n"
