"""Typical calls of an app with a directory: StartTLS, TLS at once, and a thread that reads."""

import ssl
from collections.abc import Callable
from typing import Any

import ldap3
from ldap3.core.exceptions import LDAPSocketOpenError

from tests.services.internet.ldap import ELSEWHERE, PEOPLE

SERVICES = ("ldap_server",)
NEW = f"uid=new,{PEOPLE}"


def make_context(server: Any) -> ldap3.Tls:
    return ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=server.ca_file)


def plain(server: Any, **options: Any) -> ldap3.Server:
    options = {"tls": make_context(server), "get_info": ldap3.ALL, **options}
    return ldap3.Server(server.host, server.port, **options)


def make_server(server: Any, **options: Any) -> ldap3.Server:
    options = {"tls": make_context(server), **options}
    return ldap3.Server(server.host, server.tls_port, use_ssl=True, **options)


def calls(services: dict[str, Any]) -> list[object]:
    server = services["ldap_server"]
    seen: list[object] = []
    tls_first = ldap3.AUTO_BIND_TLS_BEFORE_BIND
    with ldap3.Connection(plain(server), server.user, server.password, auto_bind=tls_first) as client:
        seen.append(client.search(PEOPLE, "(&(objectClass=inetOrgPerson)(uid=user1))", attributes=["cn", "mail"]))
        seen.append(str(client.entries[0].mail))
        seen.append(client.add(NEW, "inetOrgPerson", {"cn": "New", "sn": "New"}))
        seen.append(client.modify(NEW, {"mail": [(ldap3.MODIFY_REPLACE, ["new@shop.example"])]}))
        seen.append(client.compare(NEW, "mail", "new@shop.example"))
        seen.append(client.delete(NEW))
        seen.append((client.delete(NEW), client.result["description"]))
        pages = client.extend.standard.paged_search(PEOPLE, "(uid=*)", attributes=["uid"], paged_size=2)
        seen.extend(one["dn"] for one in pages)
        seen.append(client.extend.standard.who_am_i())
        client.unbind()
    client = ldap3.Connection(make_server(server), server.user, server.password, client_strategy=ldap3.ASYNC)
    seen.append(client.bind())
    number = client.search(PEOPLE, "(mail=user*)", attributes=["mail"])
    seen.append(len(client.get_response(number)[0]))
    client.unbind()
    client.strategy.receiver.join(10)  # else it may read from the next connection, whose socket has the same number
    with ldap3.Connection(plain(server)) as client:
        seen.append(client.search(ELSEWHERE, "(uid=user1)"))
        seen.append([one["dn"] for one in client.response or ()])
    return seen


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    server = services["ldap_server"]

    def as_admin(**options: Any) -> ldap3.Connection:
        return ldap3.Connection(make_server(server), server.user, server.password, auto_bind=True, **options)

    def opened(directory: ldap3.Server) -> None:
        try:
            ldap3.Connection(directory, auto_bind=True)
        except LDAPSocketOpenError as error:  # a class made for this one error
            raise LDAPSocketOpenError(str(error)) from None

    return [
        lambda: ldap3.Connection(make_server(server), server.user, "wrong", auto_bind=True),
        lambda: ldap3.Connection(make_server(server), server.user, "wrong", raise_exceptions=True).bind(),
        lambda: as_admin(raise_exceptions=True).delete("uid=absent," + PEOPLE),
        lambda: as_admin().search(PEOPLE, "(uid=x"),
        lambda: opened(make_server(server, tls=ldap3.Tls(validate=ssl.CERT_REQUIRED))),
        lambda: opened(ldap3.Server("127.0.0.1", 1)),
    ]
