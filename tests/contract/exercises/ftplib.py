"""Typical calls of an app that fetches and stores files by FTP, in the clear and over TLS."""

# ruff: noqa: S321  the observed protocol is FTP
import ftplib
import io
import ssl
from collections.abc import Callable
from typing import Any

SERVICES = ("ftp_server", "ftp_elsewhere")


def make_context(server: Any) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=server.ca_file)


def calls(services: dict[str, Any]) -> list[object]:
    server, elsewhere = services["ftp_server"], services["ftp_elsewhere"]
    seen: list[object] = []
    for client in (ftplib.FTP(), ftplib.FTP_TLS(context=make_context(server))):
        with client:
            seen.append(client.connect(server.host, server.port))
            seen.append(client.sendcmd("FEAT"))
            seen.append(client.login(server.user, server.password))
            if isinstance(client, ftplib.FTP_TLS):
                seen.append(client.prot_p())
            seen += _files(client)
    with ftplib.FTP() as client:
        client.connect(elsewhere.host, elsewhere.port)
        seen.append(client.login(elsewhere.user, elsewhere.password))
        lines: list[str] = []
        seen.append(client.retrlines("RETR report.csv", lines.append))
        seen.append(lines)
    return seen


def _files(client: ftplib.FTP) -> list[object]:
    blocks: list[bytes] = []
    seen: list[object] = [client.nlst(), client.pwd(), client.size("report.csv")]
    seen += [client.retrbinary("RETR report.csv", blocks.append), b"".join(blocks)]
    seen.append(client.storbinary("STOR incoming/a.bin", io.BytesIO(b"x" * 20_000)))
    seen.append(client.storlines("STOR incoming/b.txt", fp=io.BytesIO(b"one\ntwo\n")))
    with client.transfercmd("RETR incoming/b.txt") as connection:
        seen.append(_all_of(connection))
    seen.append(client.voidresp())
    seen += [client.rename("incoming/a.bin", "incoming/c.bin"), client.delete("incoming/c.bin")]
    seen.append(client.delete("incoming/b.txt"))
    try:
        client.retrbinary("RETR nothing.bin", blocks.append)
    except ftplib.error_perm as error:
        seen.append(str(error))
    return seen


def _all_of(connection: Any) -> bytes:
    found = b""
    while more := connection.recv(1_000):
        found += more
    if isinstance(connection, ssl.SSLSocket):
        connection.unwrap()
    return found


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    server = services["ftp_server"]

    def client() -> ftplib.FTP:
        one = ftplib.FTP()
        one.connect(server.host, server.port, timeout=10)
        return one

    def wrong() -> None:
        with client() as one:
            one.login("ftp", "wrong")

    def forbidden() -> None:
        with client() as one:
            one.login(server.user, server.password)
            one.storbinary("STOR forbidden.bin", io.BytesIO(b"x"))

    def no_callback() -> None:
        with client() as one:
            one.login(server.user, server.password)
            one.retrbinary("RETR report.csv")  # type: ignore[call-arg]

    def their_callback() -> None:
        with client() as one:
            one.login(server.user, server.password)
            one.retrbinary("RETR report.csv", lambda _: 1 / 0)

    def untrusted() -> None:
        with ftplib.FTP_TLS(context=ssl.create_default_context()) as one:
            one.connect(server.host, server.port)
            one.login()

    return [
        wrong,
        forbidden,
        no_callback,
        their_callback,
        untrusted,
        lambda: ftplib.FTP().connect("127.0.0.1", 1),
        lambda: client().cwd("nothing"),
    ]
