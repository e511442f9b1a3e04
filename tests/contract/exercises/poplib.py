"""Typical calls of an app that fetches mail by POP3: STLS, TLS at once, and no TLS at all."""

import poplib
import ssl
from collections.abc import Callable
from typing import Any

SERVICES = ("pop3_server",)


def make_context(server: Any) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=server.ca_file)


def calls(services: dict[str, Any]) -> list[object]:
    server = services["pop3_server"]
    seen: list[object] = []
    client = poplib.POP3(server.host, server.port)
    seen.append(client.stls(make_context(server)))
    seen += [client.user(server.user), client.pass_(server.password), client.stat(), client.list(), client.list(1)]
    seen += [client.retr(1)[1], client.top(2, 0)[1], len(client.uidl()[1]), client.noop(), client.dele(1)]
    seen += [client.rset(), client.quit()]
    client = poplib.POP3_SSL(server.host, server.tls_port, context=make_context(server))
    seen.append(sorted(client.capa()))
    client.user(server.user)
    try:
        client.pass_("wrong")
    except poplib.error_proto as error:
        seen.append(error.args[0])
    client.close()
    return seen


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    server = services["pop3_server"]

    def wrong() -> None:
        client = poplib.POP3(server.host, server.port)
        try:
            client.user(server.user)
            client.pass_("wrong")
        finally:
            client.close()

    def nothing() -> None:
        client = poplib.POP3(server.host, server.port)
        try:
            client.user(server.user)
            client.pass_(server.password)
            client.retr(99)
        finally:
            client.quit()

    def untrusted() -> None:
        client = poplib.POP3(server.host, server.port)
        try:
            client.stls(ssl.create_default_context())
        finally:
            client.close()

    return [
        wrong,
        nothing,
        untrusted,
        lambda: poplib.POP3_SSL(server.host, server.tls_port, context=ssl.create_default_context()),
        lambda: poplib.POP3("127.0.0.1", 1),
        lambda: poplib.POP3(server.host, server.port).stat(),
        lambda: poplib.POP3(server.host, server.port).retr(),  # type: ignore[call-arg]
    ]
