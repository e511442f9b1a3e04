"""asyncpg: connections and pools, asynchronous only."""

import asyncio
from dataclasses import replace
from typing import Any, ClassVar, cast

from backwatch.resource.bounded import share_context
from backwatch.resource.opening import TLS_FIX, Attachment, Session, read_tls
from backwatch.resource.systems.postgresql import CONTROLLED, PostgreSQL, refuse_weak_query
from backwatch.resource.systems.postgresql.asyncpg_login import judge_login
from backwatch.resource.systems.postgresql.bounded_reply import refuse_rows


class AsyncPG(PostgreSQL):
    """Speaks the protocol itself, over Python's TLS."""

    module: ClassVar = "asyncpg"
    rank: ClassVar = 30
    async_dialect: ClassVar = "postgresql+asyncpg"
    cannot: ClassVar = {"max_reply_bytes": "it reads a whole result before it returns"}

    async def aconnect(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return an ``asyncpg.Connection``."""
        import asyncpg

        parameters = await asyncio.to_thread(_parameters, attachment, options)
        with judge_login(attachment):
            connection = await asyncpg.connect(**parameters)
        return await _check(attachment, connection)

    async def apool(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return an open ``asyncpg.Pool``; each of its connections is checked when it is opened."""
        import asyncpg

        parameters = await asyncio.to_thread(_parameters, attachment, options)

        async def connect(*arguments: Any, **given: Any) -> Any:
            with judge_login(attachment):
                connection = await asyncpg.connect(*arguments, **given)
            return await _check(attachment, connection)

        return await asyncpg.create_pool(connect=connect, **parameters)

    def refuse_error(self, attachment: Attachment, error: Exception) -> None:
        """Recognize asyncpg's error about a server without TLS."""
        if attachment.policy.enforced and "rejected SSL upgrade" in str(error):
            attachment.refuse("tls", "the server refuses TLS", TLS_FIX)
        attachment.refuse_error(error)


def _parameters(attachment: Attachment, options: dict[str, Any]) -> dict[str, Any]:
    policy, url = attachment.policy, attachment.url
    attachment.check_places()
    query = {name: value for name, value in url.query.items() if not policy.enforced or not name.startswith("ssl")}
    parameters: dict[str, Any] = {"dsn": url.rebuild(query=query)}
    if policy.enforced:
        attachment.refuse_option(options, ("ssl", "dsn", *CONTROLLED), "tls")
        refuse_weak_query(attachment)
        settings = {"statement_timeout": str(round(policy.seconds("statement_timeout_s") * 1000))}
        if policy.flag("read_only"):
            settings["default_transaction_read_only"] = "on"
        parameters |= {
            "connection_class": _bound_connection(attachment),
            "ssl": share_context(attachment, bounded=False) if attachment.needs_tls else False,
            "timeout": policy.seconds("connect_timeout_s"),
            "command_timeout": policy.seconds("read_timeout_s"),
            "server_settings": settings | options.pop("server_settings", {}),
        }
    return {**parameters, **options}


def _bound_connection(attachment: Attachment) -> Any:
    """Return a class of connections that refuses results with too many rows."""
    import asyncpg

    connection: Any = asyncpg.Connection

    class BoundConnection(connection):
        """Refuses results with too many rows."""

        async def _execute(self, *arguments: Any, **options: Any) -> Any:
            result = await super()._execute(*arguments, **options)
            rows = result[0] if options.get("return_status") else result
            if isinstance(rows, list):
                refuse_rows(attachment, len(cast("list[Any]", rows)))
            return result

    return BoundConnection


async def _check(attachment: Attachment, connection: Any) -> Any:
    transport = connection._transport
    context = transport.get_extra_info("ssl_object")
    peer = transport.get_extra_info("peername")
    session = replace(
        read_tls(context) if context else Session(tls=False),
        server_version=connection.get_settings().server_version,
    )
    try:
        attachment.check_session(session, address=peer[0] if isinstance(peer, tuple) else "")
    except BaseException:
        connection.terminate()
        raise
    return connection
