"""PyMongo: clients, synchronous and asynchronous."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

from backwatch.resource.addresses import normalize
from backwatch.resource.checked_tls import CheckedContext
from backwatch.resource.errors import ResourceUnsafe
from backwatch.resource.opening import Attachment, Session
from backwatch.resource.replies import raise_refusal
from backwatch.resource.systems import Driver

SRV: Final = "srv"
NAMES: Final = "the deployment names"
CONTROLLED: Final = (
    "tls", "ssl", "tlsinsecure", "tlsallowinvalidcertificates", "tlsallowinvalidhostnames", "tlscafile", "tlscrlfile",
    "tlsdisableocspendpointcheck", "tlscertificatekeyfile", "tlscertificatekeyfilepassword", "host", "port",
)  # fmt: skip
"""Options on which the policy decides, in lower case."""
WEAK: Final[Mapping[str, str]] = {
    "tls": "false", "ssl": "false", "tlsinsecure": "true", "tlsallowinvalidcertificates": "true",
    "tlsallowinvalidhostnames": "true",
}  # fmt: skip
STRONG_MECHANISMS: Final = ("SCRAM-SHA-256", "MONGODB-X509", "GSSAPI", "MONGODB-AWS", "MONGODB-OIDC")
"""Neither a password in clear nor a weak hash of it."""


class PyMongo(Driver):
    """Clients that follow a deployment's topology to allowed hosts only.

    A URL that names one host of a replica set needs the others in ``hosts``. Those of ``mongodb+srv://`` may lie in the
    domain of its name, as the library demands too.
    """

    module: ClassVar = "pymongo"
    system: ClassVar = "mongodb"
    schemes: ClassVar = ("mongodb",)
    variants: ClassVar = (SRV,)
    default_port: ClassVar = 27017
    cannot: ClassVar = {
        "statement_timeout_s": "timeoutMS counts the search for a server too; read_timeout_s limits each wait",
        "read_only": "the protocol has no such session; give the account the role read only",
        "max_rows": "cursors read batch by batch; max_reply_bytes limits each",
    }

    def client(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return a ``pymongo.MongoClient``. It connects with the first operation."""
        import pymongo

        attachment = _allow_domain(attachment)
        attachment.check_places()
        return self._client(attachment, options, check_client, pymongo.MongoClient)

    async def aclient(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return a ``pymongo.AsyncMongoClient``. It connects with the first operation."""
        import pymongo

        attachment = _allow_domain(attachment)
        await asyncio.to_thread(attachment.check_places)
        return self._client(attachment, options, check_async_client, pymongo.AsyncMongoClient)

    def refuse_error(self, attachment: Attachment, error: Exception) -> None:
        """Find the refusal in the library's error."""
        raise_refusal(attachment, error)

    def _client(self, attachment: Attachment, options: dict[str, Any], check: Any, base: Any) -> Any:
        policy, url = attachment.policy, attachment.url
        scheme = f"mongodb+{SRV}" if url.driver == SRV else "mongodb"
        if not policy.enforced:
            client = check(attachment, base, None)(url.rebuild(scheme=scheme), **options)
            if client.options.pool_options._ssl_context is None:
                attachment.check_session(Session(tls=False))
            return client
        _refuse_options(attachment, options)
        query = {name: value for name, value in url.query.items() if name.lower() not in CONTROLLED}
        parameters: dict[str, Any] = {
            "connectTimeoutMS": _ms(attachment, "connect_timeout_s"),
            "serverSelectionTimeoutMS": _ms(attachment, "connect_timeout_s"),
            "socketTimeoutMS": _ms(attachment, "read_timeout_s"),
            **_mechanism(attachment, {**query, **options}),
        }
        given = {name.lower() for name in (*query, *options)}
        parameters = {name: value for name, value in parameters.items() if name.lower() not in given}
        context = _make_context(attachment)
        client = check(attachment, base, context)(
            url.rebuild(scheme=scheme, query=query),
            tls=context is not None,
            **{**parameters, **options, "connect": False},
        )
        if context is not None:
            # The library takes no context of its caller's. No pool exists yet: they copy this one.
            client.options.pool_options._PoolOptions__ssl_context = context
        return client


def _ms(attachment: Attachment, setting: str) -> int:
    return round(attachment.policy.seconds(setting) * 1000)


def _allow_domain(attachment: Attachment) -> Attachment:
    policy = attachment.policy
    if attachment.url.driver != SRV or policy.texts("hosts"):
        return attachment
    host = normalize(attachment.url.host)
    domain = host.partition(".")[2] if host.count(".") > 1 else host
    return replace(attachment, policy=replace(policy, values={**policy.values, "hosts": (f"*.{domain}",)}))


def _refuse_options(attachment: Attachment, options: dict[str, Any]) -> None:
    attachment.refuse_option(options, [name for name in options if name.lower() in CONTROLLED], "tls")
    for name, value in attachment.url.query.items():
        if WEAK.get(name.lower()) == value.lower() and (attachment.needs_tls or attachment.url.driver == SRV):
            attachment.refuse("tls", f"the URL asks for {name}={value}", "Leave it out: tls of this resource decides")


def _make_context(attachment: Attachment) -> CheckedContext | None:
    query = {name.lower(): value for name, value in attachment.url.query.items()}
    asked = attachment.url.driver == SRV or "true" in (query.get("tls"), query.get("ssl"))
    if not attachment.needs_tls and (not asked or attachment.policy.text("tls") == "off"):
        return None
    context = CheckedContext.make(attachment, metered=True, check_hosts=False)
    if certificate := query.get("tlscertificatekeyfile"):
        context.load_cert_chain(certificate, None, query.get("tlscertificatekeyfilepassword"))
    return context


def _mechanism(attachment: Attachment, given: Mapping[str, Any]) -> dict[str, str]:
    """Return the option that fixes how to log in; a server may otherwise choose the weaker of two."""
    strength = attachment.policy.text("auth")
    asked = next((str(value).upper() for name, value in given.items() if name.lower() == "authmechanism"), "")
    attachment.check_password()
    if asked == "PLAIN" and strength != "any" and (strength == "strong" or not attachment.needs_tls):
        attachment.refuse("auth", "the mechanism PLAIN sends the password itself", "Let the account use SCRAM-SHA-256")
    if strength != "strong" or attachment.url.user is None or asked in STRONG_MECHANISMS:
        return {}
    if asked:
        attachment.refuse("auth", f"the mechanism {asked} is weak", "Let the account use SCRAM-SHA-256")
    return {"authMechanism": "SCRAM-SHA-256"}


def check_client(attachment: Attachment, base: Any, context: CheckedContext | None) -> Any:
    """Return a subclass of the library's client: it serves no operation while a foreign host is in its topology.

    Monitors may greet such a host; operations and logins go nowhere.
    """
    judge = _Judge(attachment, context)

    class CheckedClient(base):
        """The library's own client."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **judge.with_selector(options))

        def _select_server(self, *arguments: Any, **options: Any) -> Any:
            try:
                server = super()._select_server(*arguments, **options)
                judge.check_topology(self.topology_description)
                if judge.take_version_check():
                    attachment.check_version(str(self.server_info().get("version", "")))
            except Exception as error:
                judge.raise_refusal(error)
                raise
            return server

        def _retry_internal(self, *arguments: Any, **options: Any) -> Any:
            try:
                return super()._retry_internal(*arguments, **options)
            except Exception as error:
                judge.raise_refusal(error)
                raise

    CheckedClient.__name__ = CheckedClient.__qualname__ = base.__name__
    return CheckedClient


def check_async_client(attachment: Attachment, base: Any, context: CheckedContext | None) -> Any:
    """Return a subclass of the library's asynchronous client. See :func:`check_client`."""
    judge = _Judge(attachment, context)

    class CheckedClient(base):
        """The library's own client."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **judge.with_selector(options))

        async def _select_server(self, *arguments: Any, **options: Any) -> Any:
            try:
                server = await super()._select_server(*arguments, **options)
                judge.check_topology(self.topology_description)
                if judge.take_version_check():
                    attachment.check_version(str((await self.server_info()).get("version", "")))
            except Exception as error:
                judge.raise_refusal(error)
                raise
            return server

        async def _retry_internal(self, *arguments: Any, **options: Any) -> Any:
            try:
                return await super()._retry_internal(*arguments, **options)
            except Exception as error:
                judge.raise_refusal(error)
                raise

    CheckedClient.__name__ = CheckedClient.__qualname__ = base.__name__
    return CheckedClient


class _Judge:
    """The checks of one client."""

    def __init__(self, attachment: Attachment, context: CheckedContext | None) -> None:
        self._attachment = attachment
        self._context = context
        self._judged: Any = None
        self._version_is_open = bool(attachment.policy.text("min_version"))

    def take_version_check(self) -> bool:
        """Return whether the server's version is to be judged now: once, and again after a refusal."""
        open_now, self._version_is_open = self._version_is_open, False
        return open_now

    def with_selector(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return options with a selector of servers that refuses foreign ones, after the caller's own."""
        own = next((options[name] for name in options if name.lower() in ("server_selector", "serverselector")), None)

        def select(servers: Any) -> Any:
            chosen = own(servers) if own is not None else servers
            for server in chosen:
                self._check_address(server.address)
            return chosen

        return {**options, "server_selector": select}

    def check_topology(self, description: Any) -> None:
        """Judge all hosts of a topology once."""
        if description is not self._judged:
            for address in description.server_descriptions():
                self._check_address(address)
            self._judged = description

    def _check_address(self, address: tuple[str, int | None]) -> None:
        host, port = address
        if port is not None:
            self._attachment.check_endpoint(host, port, NAMES)

    def raise_refusal(self, error: BaseException) -> None:
        """Raise the refusal that an error hides: the library reports most as a time-out."""
        if isinstance(error, ResourceUnsafe) and error.check == "min_version":
            self._version_is_open = True
        raise_refusal(self._attachment, error)
        if self._context is not None:
            self._context.raise_refusal(error)
