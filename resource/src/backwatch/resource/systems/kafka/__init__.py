"""Kafka. What its client libraries have in common: security and logins of a URL, brokers, and whose errors to raise."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from backwatch.resource.checked_tls import CheckedContext
from backwatch.resource.errors import ResourceMisconfigured, ResourceUnsafe
from backwatch.resource.opening import Attachment, Session
from backwatch.resource.replies import raise_refusal
from backwatch.resource.systems import Driver

KINDS: Final = ("producer", "consumer", "admin")
SECURE_SCHEME: Final = "kafkas"
MECHANISM: Final = "SCRAM-SHA-256"
STRONG_MECHANISMS: Final = ("SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI", "OAUTHBEARER", "AWS_MSK_IAM")
"""Neither a password in clear nor a weak hash of it."""
MAX_FETCH_BYTES: Final = 52_428_800
"""The libraries' default."""
NAMES: Final = "the cluster names the broker"
ENDS: Final = frozenset({"close", "stop"})
UNCHECKED: Final = frozenset({"metrics", "assignment", "subscription", "highwater", "paused"})
"""Methods that look at a client's own state only."""


class Kafka(Driver):
    """Clients of brokers at allowed hosts only.

    The URL names the brokers to begin with, ``kafka://user:password@host1,host2``; ``hosts`` must hold the others that
    a cluster consists of. The login is SCRAM-SHA-256 unless the URL has ``sasl_mechanism``.
    """

    system: ClassVar = "kafka"
    schemes: ClassVar = ("kafka", SECURE_SCHEME)
    default_port: ClassVar = 9092
    cannot: ClassVar[Mapping[str, str]] = {
        "statement_timeout_s": "the protocol has none; read_timeout_s ends the wait",
        "read_only": "the protocol has no such session; give the account the right to read only",
        "min_version": "brokers announce the versions of requests, not their own",
        "max_rows": "consumers poll at most as many records as the app asks for",
        "formats": "hands out values as bytes; the app chooses how to read them",
    }

    def refuse_error(self, attachment: Attachment, error: Exception) -> None:
        """Find the refusal in the library's error."""
        raise_refusal(attachment, error)


def take_kind(attachment: Attachment, options: dict[str, Any]) -> str:
    """Take the option ``kind``: which client is wanted.

    Raises:
        ResourceMisconfigured: It is missing or unknown.
    """
    kind = options.pop("kind", None)
    if kind not in KINDS:
        raise ResourceMisconfigured(f"{attachment.name}: client() needs kind=, one of {', '.join(KINDS)}")
    return kind


def choose_security(attachment: Attachment) -> tuple[str, str]:
    """Check the URL; return the security protocol and the login's mechanism, empty without login."""
    attachment.check_places()
    policy, url = attachment.policy, attachment.url
    secure = url.scheme == SECURE_SCHEME or (policy.enforced and attachment.needs_tls)
    if not secure:
        attachment.check_session(Session(tls=False))
    if url.user is None:
        return ("SSL" if secure else "PLAINTEXT"), ""
    mechanism = url.query.get("sasl_mechanism", MECHANISM).upper()
    if mechanism == "PLAIN":
        attachment.check_password()
    if policy.text("auth") == "strong" and mechanism not in STRONG_MECHANISMS:
        attachment.refuse(
            "auth", f"the mechanism {mechanism} sends the password itself", f"Let the account use {MECHANISM}"
        )
    return ("SASL_SSL" if secure else "SASL_PLAINTEXT"), mechanism


def list_login_parameters(attachment: Attachment, security: str, mechanism: str) -> dict[str, Any]:
    """Return brokers and login as the libraries in Python name them."""
    url = attachment.url
    given: dict[str, Any] = {
        "bootstrap_servers": url.addresses(attachment.default_port),
        "security_protocol": security,
    }
    if mechanism:
        given |= {
            "sasl_mechanism": mechanism, "sasl_plain_username": url.user, "sasl_plain_password": url.password or "",
        }  # fmt: skip
    return given


def refuse_options(attachment: Attachment, options: dict[str, Any], controlled: tuple[str, ...]) -> None:
    """Refuse options of security, in a library's own spelling."""
    if attachment.policy.enforced:
        names = [name for name in options if name.startswith(controlled)]
        attachment.refuse_option(options, names, "tls")


def make_context(attachment: Attachment, security: str) -> CheckedContext | None:
    """Return the context of a client's connections; ``None``: without TLS, or without enforcement."""
    if not attachment.policy.enforced or not security.endswith("SSL"):
        return None
    return CheckedContext.make(attachment, metered=True)


class BrokerJudge:
    """The checks of one client, which connects in a thread or task of its own: the next call raises what it found."""

    def __init__(self, attachment: Attachment, context: CheckedContext | None) -> None:
        self._attachment = attachment
        self._context = context
        self._refused: ResourceUnsafe | None = None
        self.ended = False

    def guard_metadata(self, cluster: Any, to_error: Callable[[str], Exception]) -> None:
        """Let a library's ``ClusterMetadata`` learn brokers at allowed hosts only.

        Args:
            cluster: Of one client, before it connects.
            to_error: Makes the library's own error, with which its refresh fails.
        """
        update = cluster.update_metadata

        def update_metadata(metadata: Any) -> Any:
            try:
                for broker in metadata.brokers:
                    host, port = read_broker(broker)
                    self._attachment.check_endpoint(host, port, NAMES)
            except ResourceUnsafe as error:
                self._refused = error
                return cluster.failed_update(to_error(str(error)))
            self._refused = None
            return update(metadata)

        cluster.update_metadata = update_metadata

    def raise_refusal(self, cause: BaseException | None = None) -> None:
        """Raise what was refused since the last call, or still is. A client that is closed is left in peace."""
        if self.ended:
            return
        if self._refused is not None:
            found = self._refused
            raise ResourceUnsafe(found.resource, found.check, found.seen, found.fix) from cause
        if self._context is not None:
            self._context.raise_refusal(cause)
        if cause is not None:
            raise_refusal(self._attachment, cause)


def read_broker(broker: Any) -> tuple[str, int]:
    """Return host and port of a broker in the metadata: a tuple, or an object of the library."""
    if isinstance(broker, (tuple, list)):
        return str(broker[1]), int(broker[2])
    return str(broker.host), int(broker.port)


def check_methods(base: Any, judge: BrokerJudge) -> dict[str, Any]:
    """Return public methods for a subclass, each of which raises what was refused before it returns."""
    return {
        name: _check_method(method, judge, ends=name in ENDS)
        for name in dir(base)
        if not name.startswith("_") and name not in UNCHECKED
        and callable(method := getattr(base, name)) and not isinstance(method, type)
        and not isinstance(base.__dict__.get(name), (staticmethod, classmethod))
    }  # fmt: skip


def _check_method(method: Any, judge: BrokerJudge, *, ends: bool) -> Any:
    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def call_async(*arguments: Any, **options: Any) -> Any:
            judge.ended = judge.ended or ends
            try:
                result = await method(*arguments, **options)
            except Exception as error:
                judge.raise_refusal(error)
                raise
            judge.raise_refusal()
            return result

        return call_async

    @functools.wraps(method)
    def call(*arguments: Any, **options: Any) -> Any:
        judge.ended = judge.ended or ends
        try:
            result = method(*arguments, **options)
        except Exception as error:
            judge.raise_refusal(error)
            raise
        judge.raise_refusal()
        return result

    return call


def extend(base: Any, judge: BrokerJudge) -> Any:
    """Return a subclass of a library's client whose methods raise what was refused."""
    return type(base.__name__, (base,), check_methods(base, judge))
