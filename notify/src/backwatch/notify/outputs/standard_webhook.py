"""Standard Webhooks 1.0.0: a signed POST whose id stays the same however often it takes.

The specification: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.
"""

import base64
import binascii
import email.utils
import hashlib
import ssl
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import ClassVar, Final, Self
from urllib.parse import SplitResult, urlsplit

from standardwebhooks.webhooks import Webhook

from backwatch.collector.settings import NotifySettings, SettingError
from backwatch.notify.outputs import Delivery, DeliveryOutcome, Kind, Output
from backwatch.notify.outputs._http import FAILURES, post
from backwatch.store.deliveries import EventRow

URL: Final = "BACKWATCH_WEBHOOK_URL"
SECRET: Final = "BACKWATCH_WEBHOOK_SECRET"  # noqa: S105  the setting's name
CA_FILE: Final = "BACKWATCH_WEBHOOK_CA_FILE"
LONGEST_WAIT_S: Final = 86_400.0
NEVER_TAKEN: Final = (400, 413, 415, 422)
"""Answers that judge the body. All other 4xx may be a deployment in progress or a secret being rotated: tried again."""
GONE: Final = 410


class StandardWebhook(Output):
    """An HTTPS endpoint that verifies signatures.

    Args:
        url: Where to; only ``https`` unless the host is in ``private_hosts``.
        secrets: One, or two while rotating; ``whsec_`` and base64 of 24 to 64 bytes. Each signs every delivery.
        private_hosts: Hosts that may be private or loopback, and may be spoken to without TLS.
        ca_file: Certificates to trust instead of the public ones.
        setting: The setting that names the URL, for a refusal.

    Raises:
        SettingError: One of these cannot be used. The message holds neither secret nor path.
    """

    name: ClassVar[str] = "standard_webhook"

    def __init__(
        self,
        url: str,
        secrets: Sequence[str],
        *,
        private_hosts: Sequence[str] = (),
        ca_file: str = "",
        setting: str = URL,
    ) -> None:
        parts = _check_url(url, private_hosts, setting)
        self._url = url
        self._host = parts.netloc
        self._private = (parts.hostname or "") in {host.lower() for host in private_hosts}
        self._signers = _signers(secrets)
        self._ca_file = _readable(ca_file)

    @classmethod
    def from_settings(cls, settings: NotifySettings) -> "Sequence[Self]":
        """The one endpoint of ``BACKWATCH_WEBHOOK_URL``, if it is set."""
        if not settings.webhook_url:
            return ()
        secrets = settings.webhook_secret.split()
        return (
            cls(settings.webhook_url, secrets, private_hosts=settings.allow_private_hosts, ca_file=settings.ca_file),
        )

    @property
    def endpoint(self) -> str:
        """Kind, host, and a hash of the whole: a path may hold a token."""
        return f"{self.name} {self._host[:100]} {hashlib.sha256(self._url.encode()).hexdigest()[:12]}"

    def render(self, event: EventRow) -> bytes:
        """The event's own body is the payload already."""
        return event.body.encode("ascii")

    def send(self, delivery: Delivery, timeout_s: float) -> DeliveryOutcome:
        """One signed POST."""
        attempted = datetime.fromtimestamp(delivery.attempted_ns // 1_000_000_000, UTC)
        text = delivery.body.decode("ascii")
        signatures = " ".join(signer.sign(delivery.id, attempted, text) for signer in self._signers)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"backwatch-notify/{version('backwatch-notify')}",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(delivery.attempted_ns // 1_000_000_000),
            "webhook-signature": signatures,
        }
        try:
            answer = post(
                self._url, delivery.body, headers, timeout_s=timeout_s, private=self._private, ca_file=self._ca_file
            )
        except FAILURES as error:
            return DeliveryOutcome(kind=Kind.RETRY, detail=type(error).__name__)
        return _judge_status(answer.status_code, answer.headers.get("Retry-After"))


def _judge_status(status: int, retry_after: str | None) -> DeliveryOutcome:
    detail = f"HTTP {status}"
    if 200 <= status < 300:
        return DeliveryOutcome(kind=Kind.DELIVERED, detail=detail)
    if status == GONE:
        return DeliveryOutcome(kind=Kind.GONE, detail=detail)
    if status in NEVER_TAKEN:
        return DeliveryOutcome(kind=Kind.REJECTED, detail=detail)
    return DeliveryOutcome(kind=Kind.RETRY, retry_after_s=_seconds(retry_after), detail=detail)


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After in either of its forms, a day at most."""
    if not retry_after:
        return None
    text = retry_after.strip()[:100]
    if text.isascii() and text.isdecimal():
        return min(float(text), LONGEST_WAIT_S)
    try:
        moment_s = email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError, OSError):  # an offset or a year that no clock knows: the C library's own, too
        return None
    return max(0.0, min(moment_s - time.time(), LONGEST_WAIT_S))


def _readable(ca_file: str) -> str:
    """Return the path after reading the file: a wrong one is reported at the start, not at every delivery."""
    try:
        if ca_file:
            ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError, for what is not PEM, is one
        reason = "holds no certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise SettingError(f"{CA_FILE}={ca_file[:200]!r}: {reason}") from None
    return ca_file


def _check_url(url: str, private_hosts: Sequence[str], setting: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        shown = f"{setting}={f'{parts.scheme}://{parts.hostname}'[:200]!r}"
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise SettingError(f"{setting}: not a URL") from None
    if parts.scheme not in ("http", "https") or not host:
        raise SettingError(f"{shown}: use https://host/path")
    if parts.username is not None or parts.password is not None:
        raise SettingError(f"{shown}: user-info does not belong there, deliveries are signed")
    if parts.scheme == "http" and host not in {private.lower() for private in private_hosts}:
        raise SettingError(f"{shown}: only https, unless the host is in BACKWATCH_WEBHOOK_ALLOW_PRIVATE_HOSTS")
    return parts


def _signers(secrets: Sequence[str]) -> list[Webhook]:
    if not 1 <= len(secrets) <= 2:
        raise SettingError(
            f"{SECRET}=(secret): one secret, or two separated by a blank while rotating, got {len(secrets)}"
        )
    signers: list[Webhook] = []
    for secret in secrets:
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not secret.startswith("whsec_") or not 24 <= len(key) <= 64:
            raise SettingError(f"{SECRET}=(secret): must be whsec_ and base64 of 24 to 64 bytes")
        signers.append(Webhook(key))
    return signers
