"""Typical calls of an app that reads mail by IMAP: STARTTLS, TLS at once, and no TLS at all."""

import imaplib
import ssl
from collections.abc import Callable
from typing import Any

SERVICES = ("imap_server",)


def make_context(server: Any) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=server.ca_file)


def calls(services: dict[str, Any]) -> list[object]:
    server = services["imap_server"]
    seen: list[object] = []
    with imaplib.IMAP4(server.host, server.port) as client:
        seen.append(client.starttls(make_context(server))[0])
        seen.append(client.login(server.user, server.password))
        seen.append(client.select("INBOX", readonly=True)[0])
        seen.append(client.search(None, '(FROM "shop" SUBJECT "order")'))
        seen.append(client.fetch("1:2", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])"))
        seen.append(client.uid("FETCH", "1:*", "(FLAGS)")[0])
        seen.append(client.list()[0])
        seen.append(client.select("Nothing/2026")[0])
        seen.append(client.noop()[0])
    with imaplib.IMAP4_SSL(server.host, server.tls_port, ssl_context=make_context(server)) as client:
        try:
            client.login(server.user, "wrong")
        except client.error as error:
            seen.append(str(error))
        seen.append(client.login_cram_md5(server.user, server.password)[0])
        seen.append(client.status("INBOX", "(MESSAGES)"))
    return seen


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    server = services["imap_server"]

    def wrong() -> None:
        with imaplib.IMAP4(server.host, server.port) as client:
            client.login(server.user, "wrong")

    def too_early() -> None:
        with imaplib.IMAP4(server.host, server.port) as client:
            client.search(None, "ALL")

    def nonsense() -> None:
        with imaplib.IMAP4(server.host, server.port) as client:
            client.login(server.user, server.password)
            client.select()
            client.search(None, "NONSENSE")

    def untrusted() -> None:
        client = imaplib.IMAP4(server.host, server.port)
        try:
            client.starttls(ssl.create_default_context())
        finally:
            client.shutdown()

    return [
        wrong,
        too_early,
        nonsense,
        untrusted,
        lambda: imaplib.IMAP4_SSL(server.host, server.tls_port, ssl_context=ssl.create_default_context()),
        lambda: imaplib.IMAP4("127.0.0.1", 1),
        lambda: imaplib.IMAP4(server.host, server.port).fetch(),  # type: ignore[call-arg]
    ]
