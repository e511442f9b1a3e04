"""A small server that implements SQL Server's protocol over SQLite: no SQL Server can be installed.

TDS 7.4: TLS as the client requests it (for the session, or for the login alone), logins with a password, batches,
``sp_executesql``, procedures, transactions, BULK INSERT, messages, errors, and a database on another host.
"""

import contextlib
import re
import socket
import socketserver
import sqlite3
import ssl
import struct
import tempfile
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

from tests.services.authority import Authority
from tests.services.databases import _tds as tds
from tests.services.process import password
from tests.services.server import HOST, Fixture, Server

USER = "app"
VERSION = (16, 0, 4125)
ELSEWHERE = "elsewhere"
"""A database that lies on another host: on ``localhost``, for who asked ``127.0.0.1`` for it."""
PACKET = 4096

FIXTURE = Fixture("sqlserver", kind="sqlserver", port=1433)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, secret: str, context: ssl.SSLContext, file: Path) -> None:
        super().__init__((HOST, 0), _Session)
        self.secret = secret
        self.context = context
        self.file = file


class _Ended(Exception):
    """The client is gone."""


class _Session(socketserver.BaseRequestHandler):
    """One connection."""

    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]
    request: socket.socket
    tls: "ssl.SSLObject | None" = None

    def handle(self) -> None:
        with contextlib.suppress(_Ended, OSError, ssl.SSLError), contextlib.closing(self._open()) as self.data:
            if self._login():
                while True:
                    self._serve(*self._receive())

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self.server.file, isolation_level=None, timeout=10)

    # --- packets ---

    def _exactly(self, count: int) -> bytes:
        got = b""
        while len(got) < count:
            more = self._read(count - len(got))
            if not more:
                raise _Ended
            got += more
        return got

    def _read(self, count: int) -> bytes:
        if self.tls is None:
            return self.request.recv(count)
        while True:
            try:
                return self.tls.read(count)
            except ssl.SSLWantReadError:
                self._taken.write(self.request.recv(65536) or self._gone())

    def _gone(self) -> bytes:
        raise _Ended

    def _receive(self) -> tuple[int, bytes]:
        body = b""
        while True:
            kind, status, length = struct.unpack(">BBH", self._exactly(8)[:4])
            body += self._exactly(length - 8)
            if status & 1:
                return kind, body

    def _send(self, body: bytes, kind: int = tds.REPLY) -> None:
        most = PACKET - 8
        for at in range(0, max(len(body), 1), most):
            part, last = body[at : at + most], at + most >= len(body)
            packet = struct.pack(">BBHHBB", kind, 1 if last else 0, len(part) + 8, 0, 1, 0) + part
            if self.tls is None:
                self.request.sendall(packet)
            else:
                self.tls.write(packet)
                self.request.sendall(self._given.read())

    # --- login ---

    def _handshake(self) -> None:
        """Set up TLS, whose first bytes travel inside packets."""
        self._taken, self._given = ssl.MemoryBIO(), ssl.MemoryBIO()
        made = self.server.context.wrap_bio(self._taken, self._given, server_side=True)
        while True:
            try:
                made.do_handshake()
            except ssl.SSLWantReadError:
                if self._given.pending:
                    self._send(self._given.read(), tds.PRELOGIN)
                self._taken.write(self._receive()[1])
            else:
                break
        if self._given.pending:
            self._send(self._given.read(), tds.PRELOGIN)
        self.tls = made

    def _login(self) -> bool:
        _, packet = self._receive()
        encryption = tds.parse_encryption(packet)
        self._send(tds.prelogin(encryption))
        if encryption != tds.NOT_SUPPORTED:
            self._handshake()
        _, packet = self._receive()
        if encryption == tds.OFF:
            self.tls = None  # only the login was to be encrypted
        asked = tds.login_fields(packet)
        if (asked["user"], asked["password"]) != (USER, self.server.secret):
            text = f"Login failed for user '{asked['user']}'."
            self._send(tds.message(18456, text, error=True) + tds.encode_done(tds.ERROR))
            return False
        accepted = tds.login_ack(VERSION)
        if asked["database"] == ELSEWHERE and asked["server"] == HOST:
            moved = tds.encode_routing("localhost", self.server.server_address[1])
            self._send(accepted + moved + tds.encode_done())
            return False
        name = asked["database"] or "master"
        rows_sent = tds.message(5701, f"Changed database context to '{name}'.", error=False)
        collation = tds.change(7, b"\x05" + tds.COLLATION, b"\0")
        self._send(tds.database(name) + rows_sent + collation + accepted + tds.encode_done())
        return True

    # --- requests ---

    def _serve(self, kind: int, body: bytes) -> None:
        at = struct.unpack_from("<I", body)[0] if kind in (tds.BATCH, tds.RPC, tds.TRANSACTION) else 0
        if kind == tds.BATCH:
            self._send(self._statements(body[at:].decode("utf-16-le"), {}, 0xFD))
        elif kind == tds.RPC:
            self._send(self._procedure(body, at))
        elif kind == tds.TRANSACTION:
            self._send(self._transaction(body, at))
        elif kind == tds.BULK:
            self._send(tds.encode_done(tds.COUNT, body.count(b"\xd1")))
        else:
            self._send(tds.encode_done(tds.CANCELLED))

    def _procedure(self, body: bytes, at: int) -> bytes:
        (length,) = struct.unpack_from("<H", body, at)
        if length == 0xFFFF:
            (number,) = struct.unpack_from("<H", body, at + 2)
            given = tds.parameters(body, at + 6)
            if number == tds.EXECUTE_SQL:
                values = {name.removeprefix("@"): value for name, value in given[2:]}
                answer = self._statements(str(given[0][1]), values, 0xFF)
                return answer + b"\x79\0\0\0\0" + tds.encode_done(token=0xFE)
        name = body[at + 2 : at + 2 + 2 * length].decode("utf-16-le")
        if name == "sp_who":
            answer = self._statements("select 1 as spid, 'app' as loginame", {}, 0xFF)
            return answer + b"\x79\0\0\0\0" + tds.encode_done(token=0xFE)
        if name == "sp_reset_connection":
            return b"\x79\0\0\0\0" + tds.encode_done(token=0xFE)
        text = f"Could not find stored procedure '{name}'."
        return tds.message(2812, text, error=True) + tds.encode_done(tds.ERROR, token=0xFE)

    def _transaction(self, body: bytes, at: int) -> bytes:
        (kind,) = struct.unpack_from("<H", body, at)
        number = b"\x08" + struct.pack("<Q", 7)
        if kind == 5:
            self.data.execute("begin")
            return tds.change(8, number, b"\0") + tds.encode_done()
        self.data.execute("commit" if kind == 7 else "rollback")
        answer = tds.change(9 if kind == 7 else 10, b"\0", number)
        if body[at + 3] & 1:  # a new one follows
            self.data.execute("begin")
            answer += tds.change(8, number, b"\0")
        return answer + tds.encode_done()

    def _statements(self, batch: str, values: dict[str, Any], token: int) -> bytes:
        statements = [one.strip() for one in batch.split(";") if one.strip()] or ["select 1"]
        answer = b""
        for number, statement in enumerate(statements, 1):
            more = tds.MORE if number < len(statements) or token == 0xFF else 0
            try:
                answer += self._statement(statement, values, token, more)
            except sqlite3.Error as error:
                code = 208 if "no such table" in str(error) else 2627 if "UNIQUE" in str(error) else 102
                return (
                    answer + tds.message(code, str(error), error=True) + tds.encode_done(tds.ERROR | more, token=token)
                )
        return answer

    def _statement(self, statement: str, values: dict[str, Any], token: int, more: int) -> bytes:
        if found := re.fullmatch(r"(?i)use \[?(\w+)\]?", statement):
            return tds.database(found.group(1)) + tds.encode_done(more, token=token)
        if found := re.fullmatch(r"(?i)print '(.*)'", statement):
            return tds.message(0, found.group(1), error=False) + tds.encode_done(more, token=token)
        if statement.lower().startswith("insert bulk"):
            return tds.encode_done(more, token=token)
        cursor = self.data.execute(statement.replace("@@VERSION", "'16.0'"), values)
        if cursor.description is None:
            counted = tds.COUNT if cursor.rowcount >= 0 else 0
            return tds.encode_done(more | counted, max(cursor.rowcount, 0), token)
        rows = cursor.fetchall()
        numbers = [all(type(row[at]) is int for row in rows) for at in range(len(cursor.description))]
        head = tds.columns([(column[0], number) for column, number in zip(cursor.description, numbers, strict=True)])
        rows_sent = b"".join(tds.row(row, numbers) for row in rows)
        return head + rows_sent + tds.encode_done(more | tds.COUNT, len(rows), token)


@contextlib.contextmanager
def serve(ca: Authority) -> Generator[Server]:
    """Run a separate server; the fixture ``sqlserver`` is shared by the whole run."""
    secret, certificate = password(), ca.issue()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate_file, certificate.key_file)
    with (
        tempfile.TemporaryDirectory() as folder,
        _Server(secret, context, Path(folder) / "data.db") as server,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        try:
            yield Server(
                kind="sqlserver", port=port, tls_port=port, user=USER, password=secret, ca_file=str(ca.ca_file),
                url=f"mssql://{USER}:{secret}@{HOST}:{port}/master",
            )  # fmt: skip
        finally:
            server.shutdown()
