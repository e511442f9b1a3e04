"""RabbitMQ and other brokers of AMQP 0-9-1."""

import struct
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from backwatch.resource.checked_tls import CheckedContext
from backwatch.resource.opening import Attachment
from backwatch.resource.replies import SIZE_FIX, raise_refusal
from backwatch.resource.systems import Driver

SECURE_SCHEME: Final = "amqps"
SECURE_PORT: Final = 5671
HEARTBEAT_S: Final = 60
MAX_FRAME_BYTES: Final = 131_072
"""What all libraries and RabbitMQ itself propose."""
_BODY_SIZE: Final = struct.Struct(">Q")


class Amqp(Driver):
    """What the libraries have in common.

    The protocol's logins send the password itself, so that TLS is up before them in any case.
    """

    system: ClassVar = "rabbitmq"
    schemes: ClassVar = ("amqp", SECURE_SCHEME)
    default_port: ClassVar = 5672
    ports: ClassVar = {SECURE_SCHEME: SECURE_PORT}
    cannot: ClassVar[Mapping[str, str]] = {
        "statement_timeout_s": "the protocol has none; read_timeout_s and heartbeats end the wait",
        "read_only": "the protocol has no such session; give the account read permission only",
        "max_rows": "messages are no rows",
    }

    def refuse_error(self, attachment: Attachment, error: Exception) -> None:
        """Find the refusal in the library's error."""
        raise_refusal(attachment, error)


def make_context(attachment: Attachment) -> CheckedContext | None:
    """Check the URL, and return the context of its sessions; ``None``: without TLS."""
    attachment.check_places()
    attachment.check_password()
    strong = attachment.policy.text("auth") == "strong"
    if strong and attachment.url.password is not None:
        attachment.refuse("auth", "the login PLAIN sends the password itself", "Use a client certificate (EXTERNAL)")
    if attachment.policy.enforced and (attachment.needs_tls or attachment.url.scheme == SECURE_SCHEME):
        return CheckedContext.make(attachment, check_hosts=False)
    return None


def endpoints(attachment: Attachment) -> list[tuple[str, int]]:
    """Return hosts with ports, which the scheme chooses."""
    return attachment.url.endpoints(attachment.default_port)


def read_version(properties: Any) -> str:
    """Return the version in what a broker announces of itself."""
    version: Any = (properties or {}).get("version", "") if hasattr(properties, "get") else ""
    return version.decode("ascii", "replace") if isinstance(version, bytes) else str(version)


def virtual_host(attachment: Attachment) -> str:
    """Return the virtual host of the URL."""
    return attachment.url.path or "/"


def check_body_size(attachment: Attachment, size: int) -> None:
    """Refuse a message by the length that its header announces."""
    limit = attachment.policy.count("max_reply_bytes")
    if size > limit and attachment.policy.enforced:
        attachment.refuse("max_reply_bytes", f"a message of {size} bytes is delivered", SIZE_FIX)


def check_frame_size(attachment: Attachment, size: int) -> None:
    """Refuse a frame that is longer than was agreed."""
    if size > MAX_FRAME_BYTES + 8 and attachment.policy.enforced:
        attachment.refuse(
            "max_reply_bytes", f"a frame of {size} bytes, at most {MAX_FRAME_BYTES} were agreed",
            "Look at the broker, or at what stands between it and the app",
        )  # fmt: skip


def check_content_header(attachment: Attachment, payload: Any) -> None:
    """Judge the payload of a content header: class, weight, then the length of the body."""
    if len(payload) >= 12:
        check_body_size(attachment, _BODY_SIZE.unpack_from(payload, 4)[0])
