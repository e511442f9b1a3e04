"""What tests of the resource share: attaching a test server, with a policy like that of a deploy."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from backwatch.attack.protocols.server import HostileServer
from backwatch.resource import Resource, attach
from tests.services.server import Server

NAME = "ORDERS_URL"
Serve = Callable[[type[HostileServer]], tuple[HostileServer, str]]
"""Starts a service of the attack pack; returns it and the file of the authority to trust."""


def attach_url(url: str, **settings: Any) -> Resource:
    """Attach a URL; loopback counts as a network, as it is one in a deploy."""
    return attach(NAME, environment={NAME: url}, **{"tls_on_loopback": "required", **settings})


def attach_server(server: Server, **settings: Any) -> Resource:
    """Attach a server of the tests, without any parameter of the URL, under the name that its certificate has."""
    parts = urlsplit(server.url)
    netloc = f"{parts.netloc.rpartition('@')[0]}@localhost:{server.tls_port}".removeprefix("@")
    return attach_url(urlunsplit((parts.scheme, netloc, parts.path, "", "")), **{"ca": server.ca_file, **settings})
