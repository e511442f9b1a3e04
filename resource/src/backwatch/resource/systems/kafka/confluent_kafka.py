"""confluent-kafka: producers, consumers and admin clients of librdkafka."""

from typing import Any, ClassVar, Final

from backwatch.resource.errors import ResourceUnsafe
from backwatch.resource.opening import TLS_FIX, Attachment
from backwatch.resource.systems.kafka import MAX_FETCH_BYTES, Kafka, choose_security, refuse_options, take_kind
from backwatch.resource.tls import find_ca_file

CONTROLLED: Final = (
    "security.protocol", "ssl.", "enable.ssl", "sasl.", "bootstrap.servers", "metadata.broker.list", "plugin.library",
)  # fmt: skip
TLS_ERRORS: Final = ("_SSL",)
MIN_RECEIVE_BYTES: Final = 1_000_000


class ConfluentKafka(Kafka):
    """Speaks the protocol in C, in threads of its own. The brokers that a cluster names are verified by TLS alone."""

    module: ClassVar = "confluent_kafka"
    package: ClassVar = "confluent-kafka"
    rank: ClassVar = 30
    cannot: ClassVar = {
        **Kafka.cannot,
        "hosts": "librdkafka connects to each broker that the cluster names, with no hook before the login",
        "pin": "librdkafka shows no certificate",
        "tls_min": "librdkafka has no setting for it; OpenSSL's own configuration decides",
    }

    def client(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return a ``Producer``, ``Consumer`` or ``AdminClient``, as the option ``kind`` wants.

        The option ``config`` holds librdkafka's properties. Errors of TLS are raised from ``poll`` and ``flush``.
        """
        import confluent_kafka
        import confluent_kafka.admin

        kind = take_kind(attachment, options)
        config: dict[str, Any] = dict(options.pop("config", {}))
        refuse_options(attachment, config, CONTROLLED)
        given = _properties(attachment)
        own = config.pop("error_cb", None)

        def on_error(error: Any) -> None:
            if attachment.policy.enforced and error.name() in TLS_ERRORS:
                raise ResourceUnsafe(attachment.name, "tls", error.str()[:200], TLS_FIX)
            if own is not None:
                own(error)

        bases: dict[str, Any] = {
            "producer": confluent_kafka.Producer, "consumer": confluent_kafka.Consumer,
            "admin": confluent_kafka.admin.AdminClient,
        }  # fmt: skip
        return bases[kind]({**given, **config, "error_cb": on_error}, **options)


def _properties(attachment: Attachment) -> dict[str, Any]:
    policy, url = attachment.policy, attachment.url
    security, mechanism = choose_security(attachment)
    given: dict[str, Any] = {
        "bootstrap.servers": ",".join(url.addresses(attachment.default_port)),
        "security.protocol": security,
    }
    if mechanism:
        given |= {"sasl.mechanism": mechanism, "sasl.username": url.user, "sasl.password": url.password or ""}
    if not policy.enforced:
        return given
    if security.endswith("SSL"):
        given |= {
            "ssl.ca.location": find_ca_file(policy),
            "enable.ssl.certificate.verification": policy.text("tls") in ("verify-full", "verify-ca"),
            "ssl.endpoint.identification.algorithm": "https" if policy.text("tls") == "verify-full" else "none",
        }
    limit = max(policy.count("max_reply_bytes"), MIN_RECEIVE_BYTES)
    return given | {
        "socket.timeout.ms": round(policy.seconds("read_timeout_s") * 1000),
        "socket.connection.setup.timeout.ms": max(1000, round(policy.seconds("connect_timeout_s") * 1000)),
        "receive.message.max.bytes": min(limit, 2_147_483_647),
        "fetch.max.bytes": min(MAX_FETCH_BYTES, limit // 2), "message.max.bytes": min(1_000_000, limit // 2),
    }  # fmt: skip
