"""aiokafka: producers, consumers and admin clients on asyncio."""

import asyncio
import ssl
from typing import Any, ClassVar, Final

from backwatch.resource.opening import Attachment
from backwatch.resource.systems.kafka import (
    MAX_FETCH_BYTES,
    BrokerJudge,
    Kafka,
    choose_security,
    extend,
    list_login_parameters,
    make_context,
    refuse_options,
    take_kind,
)  # fmt: skip

CONTROLLED: Final = ("security_protocol", "ssl_context", "sasl_", "bootstrap_servers")


class AioKafka(Kafka):
    """Speaks the protocol in Python, in tasks of each client."""

    module: ClassVar = "aiokafka"
    rank: ClassVar = 20

    async def aclient(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return an ``AIOKafkaProducer``, ``AIOKafkaConsumer`` or ``AIOKafkaAdminClient``, as ``kind`` wants.

        It connects with ``start()`` or ``async with``, as the library's own does. ``topics`` are those of a consumer.
        """
        import aiokafka
        import aiokafka.admin
        from aiokafka.errors import KafkaConnectionError

        kind = take_kind(attachment, options)
        refuse_options(attachment, options, CONTROLLED)
        security, mechanism = await asyncio.to_thread(choose_security, attachment)
        context = make_context(attachment, security)
        judge = BrokerJudge(attachment, context)
        bases: dict[str, Any] = {
            "producer": aiokafka.AIOKafkaProducer, "consumer": aiokafka.AIOKafkaConsumer,
            "admin": aiokafka.admin.AIOKafkaAdminClient,
        }  # fmt: skip
        topics = options.pop("topics", ()) if kind == "consumer" else ()
        given = _parameters(attachment, kind, security, mechanism)
        if security.endswith("SSL"):
            given["ssl_context"] = context or ssl.create_default_context()
        opened = extend(bases[kind], judge)(*topics, **{**given, **options})
        client = opened.client if kind == "producer" else opened._client
        judge.guard_metadata(client.cluster, KafkaConnectionError)
        return opened


def _parameters(attachment: Attachment, kind: str, security: str, mechanism: str) -> dict[str, Any]:
    policy, given = attachment.policy, list_login_parameters(attachment, security, mechanism)
    if policy.enforced:
        given["request_timeout_ms"] = round(policy.seconds("read_timeout_s") * 1000)
        if kind == "consumer":
            given["fetch_max_bytes"] = min(MAX_FETCH_BYTES, policy.count("max_reply_bytes") // 2)
    return given
