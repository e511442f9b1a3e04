"""A MongoDB replica set member over TLS: hello, finds and inserts, for scenarios to extend. BSON is PyMongo's."""

import struct
from typing import Any

from backwatch.attack.protocols.server import HostileServer, ServerSession

SET = "shop"
_REPLY, _QUERY, _MESSAGE = 1, 2004, 2013
_HEAD = struct.Struct("<iiii")


class MongoDB(HostileServer):
    """Stores baskets. The name of each command is passed to ``taken``.

    Attributes:
        primary: Whether it claims to be the primary.
        host: The member's own host name.
    """

    name = "mongodb"
    attack = "is honest"
    reference = "https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/"
    driver = "pymongo"
    rule = "topology-changed"

    primary = True
    host = "localhost"

    def serve(self, session: ServerSession) -> None:
        """Serve commands, one after the other."""
        import bson

        session.secure()
        while True:
            length, number, _, code = _HEAD.unpack(session.read(_HEAD.size))
            body = session.read(length - _HEAD.size)
            at = body.index(b"\0", 4) + 9 if code == _QUERY else 5
            size = int.from_bytes(body[at : at + 4], "little")
            command: dict[str, Any] = bson.decode(body[at : at + size])
            answer = bson.encode(self.answer(command) | {"ok": 1.0})
            head = struct.pack("<iqii", 8, 0, 0, 1) if code == _QUERY else struct.pack("<iB", 0, 0)
            kind, total = (_REPLY if code == _QUERY else _MESSAGE), _HEAD.size + len(head) + len(answer)
            session.send(_HEAD.pack(total, 0, number, kind) + head + answer)

    def answer(self, command: dict[str, Any]) -> dict[str, Any]:
        """Return the reply to one command."""
        name = next(iter(command), "")
        if name.lower() in ("hello", "ismaster"):
            return self.hello()
        self.on_leak(name.encode())
        if name == "find":
            basket = {"_id": 7, "basket": "two apples"}
            return {"cursor": {"id": 0, "ns": "shop.baskets", "firstBatch": [basket]}}
        return {"n": 1}

    def hello(self) -> dict[str, Any]:
        """Return the member's description of itself and of the set."""
        me = f"{self.host}:{self.port}"
        return {
            "helloOk": True, "ismaster": self.primary, "isWritablePrimary": self.primary, "secondary": not self.primary,
            "setName": SET, "setVersion": 1, "me": me, "hosts": self.members(), "primary": self.leader(),
            "minWireVersion": 0, "maxWireVersion": 21, "maxBsonObjectSize": 1 << 24, "maxMessageSizeBytes": 48_000_000,
            "maxWriteBatchSize": 100_000, "readOnly": False,
        }  # fmt: skip

    def members(self) -> list[str]:
        """Return all members of the set."""
        return [f"{self.host}:{self.port}"]

    def leader(self) -> str:
        """Return the primary."""
        return f"{self.host}:{self.port}"
