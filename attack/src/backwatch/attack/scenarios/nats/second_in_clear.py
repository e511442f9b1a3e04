"""A1 on nats: the app attaches a second server by ``nats://``."""

from typing import Any

from backwatch.attack.protocols.nats import NATS
from backwatch.attack.techniques.second import AttachesInClear, InClear


class _Both(InClear, NATS):
    def information(self) -> dict[str, Any]:
        """Return server information without TLS."""
        return super().information() | {"tls_required": not self.listened_to}


class NatsSecond(AttachesInClear):
    """nats-py uses TLS only if the server asks for it, or with ``tls_handshake_first``. The URL does not matter."""

    attack = "is attached in plaintext beside another one, so that who is on the way reads what is published"
    driver = "nats"
    rule = "plaintext-session"
    service_class = _Both
    said = b"order 7"

    def visit(self, host: str, *, careful: bool) -> object:
        """Publish an order, and receive it."""
        import asyncio

        return asyncio.run(self._visit(host, careful=careful))

    async def _visit(self, host: str, *, careful: bool) -> object:
        import ssl

        import nats

        more: dict[str, Any] = {"tls": ssl.create_default_context(cafile=self.config.ca_file)} if careful else {}
        scheme = "tls" if careful else "nats"
        client = await nats.connect(
            f"{scheme}://{host}:{self.config.port}", connect_timeout=5, allow_reconnect=False, **more
        )
        subscription = await client.subscribe("orders")
        await client.publish("orders", b"order 7")
        message = await subscription.next_msg(timeout=5)
        await client.close()
        return repr(message.data)
