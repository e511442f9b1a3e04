"""A replica set that implements MongoDB's protocol, for features that FerretDB lacks.

Members that announce each other (and may announce anything), logins (SCRAM, PLAIN, X.509), compression, heartbeats
that wait for a change, a long cursor. It stores nothing: a ``find`` returns numbered documents, a write counts.
"""

import contextlib
import socketserver
import ssl
import struct
import threading
import zlib
from collections.abc import Generator, Mapping
from typing import Any

from bson import Int64, ObjectId, decode, encode

from tests.services.authority import Authority
from tests.services.databases.mongo_scram import AuthenticationError, Scram
from tests.services.process import free_port, password
from tests.services.server import HOST, Fixture, Server

USER = "app"
DOCUMENTS = 250
BATCH = 101
OP_REPLY, OP_QUERY, OP_COMPRESSED, OP_MSG = 1, 2004, 2012, 2013
HEADER = struct.Struct("<iiii")

FIXTURE = Fixture("mongo_set", kind="mongo_set", port=27017)


class CommandError(Exception):
    """Return a reply with ``ok: 0``."""

    def __init__(self, code: int, name: str, text: str) -> None:
        super().__init__(text)
        self.document = {"ok": 0.0, "code": code, "codeName": name, "errmsg": text}


class Member(socketserver.ThreadingTCPServer):
    """One member: ``hello`` is its announcement; change it by :meth:`announce`."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, secret: str, context: ssl.SSLContext | None = None, **hello: Any) -> None:
        super().__init__((HOST, port), Conversation)
        self.context = context
        self.secret = secret
        self.mechanisms = ["SCRAM-SHA-1", "SCRAM-SHA-256"]
        self.process = ObjectId()
        self.counter = 0
        self.hello = hello
        self.changed = threading.Condition()
        self.heartbeats = 0
        self.silent = False

    @property
    def port(self) -> int:
        """The address on which it listens."""
        return int(self.server_address[1])

    def announce(self, **hello: Any) -> None:
        """Change the greeting; clients that wait for a change receive it immediately."""
        with self.changed:
            self.hello = {**self.hello, **hello}
            self.counter += 1
            self.changed.notify_all()

    def do_not_answer(self) -> None:
        """End every conversation at its next request."""
        self.silent = True

    def greet(self) -> dict[str, Any]:
        """Return the reply to HELLO."""
        return {
            "helloOk": True, **self.hello,
            "topologyVersion": {"processId": self.process, "counter": Int64(self.counter)},
            "maxBsonObjectSize": 1 << 24, "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000,
            "logicalSessionTimeoutMinutes": 30, "connectionId": 1, "minWireVersion": 0, "maxWireVersion": 25,
            "readOnly": False, "ok": 1.0,
        }  # fmt: skip

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a disconnected client."""


class Conversation(socketserver.BaseRequestHandler):
    """One connection."""

    server: Member  # pyright: ignore[reportIncompatibleVariableOverride]  the only one that it serves

    def setup(self) -> None:
        """Set up TLS, if the member offers it."""
        self.scram: Scram | None = None
        if self.server.context is not None:
            self.request = self.server.context.wrap_socket(self.request, server_side=True)

    def handle(self) -> None:
        """Read and reply, until the client disconnects."""
        while True:
            length, request, _, op = HEADER.unpack(self._exactly(16))
            body = self._exactly(length - 16)
            if self.server.silent:
                return
            packed = op == OP_COMPRESSED
            if packed:
                op, _, _ = struct.unpack_from("<iib", body)
                body = zlib.decompress(body[9:])
            if op == OP_QUERY:
                command = decode(body[body.index(b"\0", 4) + 9 :])
                reply = struct.pack("<iqii", 8, 0, 0, 1) + encode(self._answer(command))
                self._send(request, OP_REPLY, reply)
                continue
            command = _sections(body)
            answer = self._answer(command)
            if struct.unpack_from("<I", body)[0] & 2:
                continue  # moreToCome: no reply wanted
            self._send(request, OP_MSG, struct.pack("<IB", 0, 0) + encode(answer), packed=packed)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self.request.recv(size - len(data))
            if not part:
                raise ConnectionError
            data += part
        return data

    def _send(self, request: int, op: int, body: bytes, *, packed: bool = False) -> None:
        if packed:
            op, body = OP_COMPRESSED, struct.pack("<iib", op, len(body), 2) + zlib.compress(body)
        self.request.sendall(HEADER.pack(16 + len(body), 0, request, op) + body)

    def _answer(self, command: Mapping[str, Any]) -> dict[str, Any]:
        name = next(iter(command))
        answer = getattr(self, f"do_{name.lower()}", None)
        try:
            if answer is None:
                raise CommandError(59, "CommandNotFound", f"no such command: '{name}'")
            return {**answer(command), "ok": 1.0}
        except CommandError as error:
            return error.document

    # --- commands ---

    def do_hello(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Wait for a change if the client asks for that."""
        member = self.server
        member.heartbeats += 1
        seen, wait_ms = command.get("topologyVersion"), command.get("maxAwaitTimeMS")
        if seen is not None and wait_ms:
            with member.changed:
                member.changed.wait_for(lambda: member.counter != seen["counter"], wait_ms / 1000)
        reply = member.greet()
        if "zlib" in command.get("compression", ()):
            reply["compression"] = ["zlib"]
        if "saslSupportedMechs" in command:
            reply["saslSupportedMechs"] = member.mechanisms
        along = command.get("speculativeAuthenticate")
        if along and along.get("mechanism") in member.mechanisms:
            reply["speculativeAuthenticate"] = self.do_saslstart(along)
        return reply

    do_ismaster = do_hello

    def do_saslstart(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Begin a login."""
        mechanism = command["mechanism"]
        if mechanism == "PLAIN":
            _, user, secret = bytes(command["payload"]).split(b"\0")
            if (user.decode(), secret.decode()) != (USER, self.server.secret):
                raise CommandError(18, "AuthenticationFailed", "Authentication failed.")
            return {"conversationId": 1, "done": True, "payload": b""}
        self.scram = Scram(mechanism, USER, self.server.secret)
        return {"conversationId": 1, "done": False, "payload": self.scram.first(bytes(command["payload"]))}

    def do_saslcontinue(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """End a login."""
        assert self.scram is not None
        try:
            return {"conversationId": 1, "done": True, "payload": self.scram.final(bytes(command["payload"]))}
        except AuthenticationError as error:
            raise CommandError(18, "AuthenticationFailed", "Authentication failed.") from error

    def do_authenticate(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Log in by certificate: TLS has verified it."""
        return {"user": "CN=app", "dbname": "$external"}

    def do_find(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Return numbered documents, the rest by ``getMore``."""
        size = min(command.get("batchSize", BATCH), command.get("limit") or DOCUMENTS)
        more = size < (command.get("limit") or DOCUMENTS)
        batch = [{"_id": number, "text": "x" * 200} for number in range(size)]
        namespace = f"{command.get('$db', 'shop')}.{command['find']}"
        return {"cursor": {"firstBatch": batch, "id": Int64(7 if more else 0), "ns": namespace}}

    def do_getmore(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Return all remaining documents."""
        batch = [{"_id": number} for number in range(command.get("batchSize", BATCH))]
        return {"cursor": {"nextBatch": batch, "id": Int64(0), "ns": f"shop.{command['collection']}"}}

    def do_aggregate(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Return one document."""
        return {"cursor": {"firstBatch": [{"_id": 1}], "id": Int64(0), "ns": f"shop.{command['aggregate']}"}}

    def do_insert(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Count documents."""
        return {"n": len(command["documents"])}

    def do_bulkwrite(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Count documents, as MongoDB 8 does."""
        counts = {"nErrors": 0, "nUpserted": 0, "nMatched": 0, "nModified": 0, "nDeleted": 0}
        cursor = {"firstBatch": [], "id": Int64(0), "ns": "admin.$cmd.bulkWrite"}
        return {"cursor": cursor, **counts, "nInserted": len(command["ops"])}

    def do_sleep(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Reply late."""
        threading.Event().wait(5)
        return {}

    def do_ping(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Return nothing."""
        return {}

    do_endsessions = do_killcursors = do_mapreduce = do_committransaction = do_aborttransaction = do_ping


def _sections(body: bytes) -> dict[str, Any]:
    """Parse the command of an OP_MSG, with its document sequences in their places."""
    at, command, lists = 4, {}, {}
    end = len(body)
    while at < end:
        kind, at = body[at], at + 1
        (size,) = struct.unpack_from("<i", body, at)
        if kind == 0:
            command = decode(body[at : at + size])
        else:
            name_end = body.index(b"\0", at + 4)
            documents, cursor = [], name_end + 1
            while cursor < at + size:
                (length,) = struct.unpack_from("<i", body, cursor)
                documents.append(decode(body[cursor : cursor + length]))
                cursor += length
            lists[body[at + 4 : name_end].decode()] = documents
        at += size
    return {**command, **lists}


@contextlib.contextmanager
def serve_member(member: Member) -> Generator[Member]:
    """Serve inside the block."""
    thread = threading.Thread(target=member.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield member
    finally:
        member.announce()  # releases waiting clients
        member.shutdown()
        member.server_close()


@contextlib.contextmanager
def members(secret: str, context: ssl.SSLContext | None = None) -> Generator[tuple[Member, Member]]:
    """A primary, and a secondary that refers to it."""
    first, second = free_port(), free_port()
    hosts = [f"{HOST}:{first}", f"{HOST}:{second}"]
    shared = {"setName": "rs0", "setVersion": 1, "hosts": hosts, "primary": hosts[0]}
    with (
        serve_member(Member(first, secret, context, isWritablePrimary=True, me=hosts[0], **shared)) as primary,
        serve_member(
            Member(second, secret, context, isWritablePrimary=False, secondary=True, me=hosts[1], **shared)
        ) as other,
    ):
        yield primary, other


@contextlib.contextmanager
def serve(ca: Authority) -> Generator[Server]:
    """Run a separate set; the fixture ``mongo_set`` is the whole run's. Its ``url`` names the secondary."""
    secret, certificate = password(), ca.issue()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate_file, certificate.key_file)
    with members(secret) as (primary, secondary), members(secret, context) as (safe, _):
        yield Server(
            kind="mongo_set", port=primary.port, tls_port=safe.port, user=USER, password=secret,
            ca_file=str(ca.ca_file),
            url=f"mongodb://{USER}:{secret}@{HOST}:{secondary.port}/shop?replicaSet=rs0&authSource=admin",
            tls_url=f"mongodb://{USER}:{secret}@{HOST}:{safe.port}/shop?replicaSet=rs0&authSource=admin"
            f"&tls=true&tlsCAFile={ca.ca_file}",
        )  # fmt: skip
