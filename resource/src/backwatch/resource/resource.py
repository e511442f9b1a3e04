"""A backing service as one app uses it: opened safely, each time it is opened."""

from typing import Any

from backwatch.resource.addresses import is_allowed_host
from backwatch.resource.announcement import Attached, announce
from backwatch.resource.opening import Attachment, Finding
from backwatch.resource.systems import Driver


class Resource:
    """An attached service. Its methods return the driver's own objects.

    Each takes the driver's own options. Options on which the policy decides (TLS, for example) are refused.

    Args:
        attachment: URL and policy.
        driver: Client library.
    """

    def __init__(self, attachment: Attachment, driver: Driver) -> None:
        self._attachment = attachment
        self._driver = driver
        policy = attachment.policy
        allowed = policy.texts("hosts") if "hosts" in policy.reviewed else ()
        for host, port in attachment.url.endpoints(attachment.default_port):
            declared = is_allowed_host(host, allowed, port) if allowed else None
            announce(host, port, Attached(attachment.name, declared, policy.text("mode")))

    def __repr__(self) -> str:
        """Show name, service and client library, and no secret."""
        return f"<Resource {self.name}: {self._attachment.url.without_secret()} with {self._driver.module}>"

    @property
    def name(self) -> str:
        """Name of the config variable."""
        return self._attachment.name

    @property
    def system(self) -> str:
        """The service's kind, as OpenTelemetry names it (``postgresql``)."""
        return self._driver.system

    @property
    def kinds(self) -> list[str]:
        """Names of the methods that its client library has: ``connect``, ``pool`` and so on."""
        return self._driver.kinds()

    @property
    def findings(self) -> list[Finding]:
        """The newest violations that were not refused; empty in mode enforce."""
        return list(self._attachment.findings)

    def connect(self, **options: Any) -> Any:
        """Open a connection.

        Raises:
            ResourceUnsafe: A check refused the service.
            TypeError: The driver has no connections of its own; the message names what it has.
        """
        return self._driver.open(self._attachment, "connect", options)

    def pool(self, **options: Any) -> Any:
        """Open a pool of connections. See :meth:`connect`."""
        return self._driver.open(self._attachment, "pool", options)

    def client(self, **options: Any) -> Any:
        """Open a client that manages its connections itself. See :meth:`connect`."""
        return self._driver.open(self._attachment, "client", options)

    def session(self, **options: Any) -> Any:
        """Open a session of HTTP or mail. See :meth:`connect`."""
        return self._driver.open(self._attachment, "session", options)

    def engine(self, **options: Any) -> Any:
        """Make an engine of SQLAlchemy. See :meth:`connect`."""
        return self._driver.open(self._attachment, "engine", options)

    async def aconnect(self, **options: Any) -> Any:
        """Open an asynchronous connection. See :meth:`connect`."""
        return await self._driver.open_async(self._attachment, "aconnect", options)

    async def apool(self, **options: Any) -> Any:
        """Open an asynchronous pool. See :meth:`connect`."""
        return await self._driver.open_async(self._attachment, "apool", options)

    async def aclient(self, **options: Any) -> Any:
        """Open an asynchronous client. See :meth:`connect`."""
        return await self._driver.open_async(self._attachment, "aclient", options)

    async def asession(self, **options: Any) -> Any:
        """Open an asynchronous session. See :meth:`connect`."""
        return await self._driver.open_async(self._attachment, "asession", options)

    def aengine(self, **options: Any) -> Any:
        """Make an asynchronous engine of SQLAlchemy. See :meth:`connect`."""
        return self._driver.open(self._attachment, "aengine", options)
