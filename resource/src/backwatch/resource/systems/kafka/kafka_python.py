"""kafka-python: producers, consumers and admin clients."""

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

CONTROLLED: Final = ("security_protocol", "ssl_", "sasl_", "bootstrap_servers", "kafka_client")
CLASSES: Final = {"producer": "KafkaProducer", "consumer": "KafkaConsumer", "admin": "KafkaAdminClient"}


class KafkaPython(Kafka):
    """Speaks the protocol in Python, in a thread of each client."""

    module: ClassVar = "kafka"
    package: ClassVar = "kafka-python"
    rank: ClassVar = 10

    def client(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return a ``KafkaProducer``, ``KafkaConsumer`` or ``KafkaAdminClient``, as the option ``kind`` wants."""
        import kafka
        from kafka.errors import KafkaConnectionError

        base: Any = getattr(kafka, CLASSES[take_kind(attachment, options)])
        refuse_options(attachment, options, CONTROLLED)
        security, mechanism = choose_security(attachment)
        context = make_context(attachment, security)
        judge = BrokerJudge(attachment, context)
        make_client = base.DEFAULT_CONFIG.get("kafka_client")

        def make_checked_client(**config: Any) -> Any:
            made = make_client(**config)
            judge.guard_metadata(made.cluster, KafkaConnectionError)
            return made

        given = _parameters(attachment, security, mechanism)
        if context is not None:
            given["ssl_context"] = context
        if make_client is not None:
            given["kafka_client"] = make_checked_client
        known = {name: value for name, value in given.items() if name in base.DEFAULT_CONFIG}
        try:
            opened = extend(base, judge)(**{**known, **options})
        except Exception as error:
            judge.raise_refusal(error)
            raise
        try:
            judge.raise_refusal()
        except BaseException:
            opened.close()
            raise
        return opened


def _parameters(attachment: Attachment, security: str, mechanism: str) -> dict[str, Any]:
    policy, given = attachment.policy, list_login_parameters(attachment, security, mechanism)
    if policy.enforced:
        connect_ms = round(policy.seconds("connect_timeout_s") * 1000)
        given |= {
            "request_timeout_ms": round(policy.seconds("read_timeout_s") * 1000), "bootstrap_timeout_ms": connect_ms,
            "max_block_ms": connect_ms, "fetch_max_bytes": min(MAX_FETCH_BYTES, policy.count("max_reply_bytes") // 2),
        }  # fmt: skip
    return given
