"""MongoDB: ``hello`` and ``listDatabases`` before any login."""

import struct
from typing import Any, ClassVar, Final

from backwatch.resource.inspections import Account, Inspection, Link
from backwatch.resource.resource import Resource
from backwatch.resource.url import ServiceUrl

POWERS: Final = (
    "root", "dbOwner", "dbAdminAnyDatabase", "userAdmin", "userAdminAnyDatabase", "readWriteAnyDatabase",
    "clusterAdmin", "hostManager", "restore", "__system",
)  # fmt: skip


class MongoDBInspection(Inspection):
    """One port for both; a server may take either or demand TLS."""

    schemes: ClassVar = ("mongodb", "mongodb+srv")
    plaintext_port: ClassVar = 27017

    def accepts_plaintext(self, link: Link, url: ServiceUrl) -> str:
        """Return whether the server answers ``hello``."""
        del url
        return "the server takes commands and logins without TLS" if _command(link, "hello") else ""

    def needs_no_login(self, link: Link, url: ServiceUrl) -> str:
        """Return whether the server lists its databases without a login."""
        del url
        answer = _command(link, "listDatabases")
        listed = b"\x04databases\0" in answer and b"\x10code\0" not in answer
        return "the server lists its databases without a login" if listed else ""

    def read_account(self, resource: Resource) -> Account:
        """Ask who is logged in, and with which roles."""
        client = resource.client()
        try:
            build: Any = client.admin.command("buildInfo")
            try:
                status: Any = client.admin.command("connectionStatus")
            except Exception:  # noqa: BLE001  compatible servers may lack it
                status = {}
            login = status.get("authInfo", {})
            users = [str(user.get("user", "")) for user in login.get("authenticatedUsers", [])]
            roles = [str(role.get("role", "")) for role in login.get("authenticatedUserRoles", [])]
        finally:
            client.close()
        powers = [role for role in POWERS if role in roles]
        return Account(name=users[0] if users else "", version=str(build.get("version", "")), powers=powers)


def _command(link: Link, name: str) -> bytes:
    """Return the answer's document, or nothing if the service speaks another protocol."""
    document = (
        b"\x10" + name.encode() + b"\0" + struct.pack("<i", 1) + b"\x02$db\0" + struct.pack("<i", 6) + b"admin\0\0"
    )
    document = struct.pack("<i", len(document) + 4) + document
    body = struct.pack("<I", 0) + b"\0" + document
    link.send(struct.pack("<iiii", 16 + len(body), 1, 0, 2013) + body)
    length, _, _, code = struct.unpack("<iiii", link.read(16))
    return link.read(length - 16) if code == 2013 and 16 < length < 60_000 else b""
