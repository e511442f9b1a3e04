"""Sessions of Django's databases, as far as the settings describe them."""

from typing import Any

from backwatch.collector.probes.toolkit.dbapi import MAX_TEXT_CHARACTERS
from backwatch.collector.probes.toolkit.layers import to_file_path, to_system_name
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.runtime.record import Session


def describe_database(wrapper: Any) -> Session:
    """Describe a database by its settings; the facts of its connections only the driver knows."""
    settings, vendor = wrapper.settings_dict, str(wrapper.vendor)
    if vendor == "sqlite":
        version = words(getattr(wrapper.Database, "sqlite_version", ""))
        file = to_file_path(settings["NAME"])
        return Session(system="sqlite", address=file, transport="inproc", server_version=version)
    host, port = words(settings.get("HOST"), MAX_TEXT_CHARACTERS), str(settings.get("PORT") or "")
    return Session(
        system=to_system_name(vendor),
        address=host,
        port=int(port) if port.isascii() and port.isdigit() and not host.startswith("/") else 0,
        namespace=words(settings.get("NAME"), MAX_TEXT_CHARACTERS),
        transport="unix" if host.startswith("/") else "",
        account=words(settings.get("USER"), MAX_TEXT_CHARACTERS),
    )


def describe_cache(cache: Any) -> Session:
    """Describe a cache by its server in the settings; of several servers it is unknown which responds."""
    servers = cache._servers
    server = words(servers[0], MAX_TEXT_CHARACTERS) if len(servers) == 1 else ""
    if server.startswith(("/", "unix:")):
        return Session(system="memcached", address=server.removeprefix("unix:"), transport="unix")
    host, _, port = server.rpartition(":")
    number = int(port) if port.isascii() and port.isdigit() else 0
    return Session(system="memcached", address=host if number else server, port=number, transport="")
