"""Redis and Valkey: clients, pools, clusters and Sentinels. Their two client libraries have the same interface."""

import asyncio
import importlib
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from backwatch.resource.opening import Attachment
from backwatch.resource.replies import raise_refusal
from backwatch.resource.systems import Driver
from backwatch.resource.systems.redis.cluster import check_async_cluster, check_cluster
from backwatch.resource.systems.redis.connection import SENTINEL_PORT, guard, guard_async

CLUSTER: Final = "cluster"
SENTINEL: Final = "sentinel"
SECURE_SCHEMES: Final = ("rediss", "valkeys")
CONTROLLED: Final = (
    "ssl", "ssl_cert_reqs", "ssl_ca_certs", "ssl_ca_path", "ssl_ca_data", "ssl_check_hostname", "ssl_min_version",
    "ssl_ciphers", "ssl_include_verify_flags", "ssl_exclude_verify_flags",
)  # fmt: skip
"""Options on which the policy decides."""
BYPASSES: Final = (
    "connection_class", "connection_pool", "connection_pool_class", "host", "port", "unix_socket_path", "url",
    "startup_nodes", "address_remap", "redis_connect_func", "valkey_connect_func",
)  # fmt: skip
"""Options that would go around its checks."""


class RedisDriver(Driver):
    """What the two libraries have in common.

    A Sentinel's URL is ``redis+sentinel://host1,host2/service``, a cluster's ``redis+cluster://host1,host2``. The hosts
    of the data nodes must be among ``hosts`` if the URL does not name them. Names and passwords are those of the data
    nodes; Sentinels with passwords of their own take them from ``sentinel_kwargs``.

    A reply that does not come in time raises an error that is ``ResourceUnsafe`` and the library's ``TimeoutError``.

    Attributes:
        plain_scheme: Scheme that the library's own parser of URLs reads.
        client_class: Name of its client, ``Redis``.
        cluster_class: Of its client for clusters.
    """

    plain_scheme: ClassVar[str]
    client_class: ClassVar[str]
    cluster_class: ClassVar[str]
    default_port: ClassVar = 6379
    variants: ClassVar = (CLUSTER, SENTINEL)
    cannot: ClassVar[Mapping[str, str]] = {
        "statement_timeout_s": "the protocol has none; read_timeout_s ends the wait",
        "read_only": "the protocol has no such session; give the account read commands only",
        "max_rows": "replies are no rows; max_reply_bytes limits them",
    }

    def client(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return a client, of a cluster or of a Sentinel's master where the scheme names them.

        It connects with the first command, as the library's own does; a cluster's connects at once.
        """
        parameters = self._parameters(attachment, options)
        if attachment.url.driver == CLUSTER:
            return self._cluster(attachment, parameters)
        if attachment.url.driver == SENTINEL:
            return self._sentinel(attachment, parameters, asynchronous=False).master_for(_service(attachment))
        return getattr(self._import(), self.client_class)(connection_pool=self._pool(attachment, parameters))

    def pool(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return a connection pool, for the library's client to use. Not of clusters and Sentinels."""
        _refuse_variant(attachment, "pool")
        return self._pool(attachment, self._parameters(attachment, options))

    async def aclient(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return the asynchronous client. See :meth:`client`."""
        parameters = await asyncio.to_thread(self._parameters, attachment, options)  # names are resolved
        if attachment.url.driver == CLUSTER:
            return self._async_cluster(attachment, parameters)
        if attachment.url.driver == SENTINEL:
            return self._sentinel(attachment, parameters, asynchronous=True).master_for(_service(attachment))
        pool = self._pool(attachment, parameters, asynchronous=True)
        return getattr(self._import("asyncio"), self.client_class)(connection_pool=pool)

    async def apool(self, attachment: Attachment, options: dict[str, Any]) -> Any:
        """Return an asynchronous connection pool. See :meth:`pool`."""
        _refuse_variant(attachment, "apool")
        parameters = await asyncio.to_thread(self._parameters, attachment, options)
        return self._pool(attachment, parameters, asynchronous=True)

    def refuse_error(self, attachment: Attachment, error: Exception) -> None:
        """Find the refusal in the library's error."""
        raise_refusal(attachment, error)

    def _import(self, part: str = "") -> Any:
        return importlib.import_module(f"{self.module}.{part}" if part else self.module)

    def _parameters(self, attachment: Attachment, options: dict[str, Any]) -> dict[str, Any]:
        """Return the parameters of connections: those of the URL, then those of the policy."""
        policy, url = attachment.policy, attachment.url
        attachment.check_places()
        attachment.check_password()
        sentinel = url.driver == SENTINEL
        scheme = self.plain_scheme + ("s" if url.scheme in SECURE_SCHEMES else "")
        if sentinel:
            url = url.with_path(url.path.partition("/")[2])
        parameters: dict[str, Any] = self._import("connection").parse_url(url.rebuild(scheme=scheme, first_host=True))
        parameters.pop("connection_class", None)
        if policy.enforced:
            attachment.refuse_option(options, CONTROLLED + BYPASSES, "tls")
            _refuse_weak_query(attachment)
            parameters = {name: value for name, value in parameters.items() if name not in CONTROLLED} | {
                "socket_connect_timeout": policy.seconds("connect_timeout_s"),
                "socket_timeout": policy.seconds("read_timeout_s"),
            }
        return {**parameters, **options}

    def _connection_class(self, attachment: Attachment, *, asynchronous: bool, module: str = "connection") -> Any:
        """Return the library's connection class with the checks in it."""
        place = f"asyncio.{module}" if asynchronous else module
        name = "SentinelManaged{}Connection" if module == "sentinel" else "{}Connection"
        base = getattr(self._import(place), name.format("SSL" if uses_tls(attachment) else ""))
        return (guard_async if asynchronous else guard)(attachment, base, self._import("exceptions"))

    def _pool(self, attachment: Attachment, parameters: dict[str, Any], *, asynchronous: bool = False) -> Any:
        pool = self._import("asyncio.connection" if asynchronous else "connection").ConnectionPool
        connection_class = self._connection_class(attachment, asynchronous=asynchronous)
        return pool(**{**parameters, "connection_class": connection_class})

    def _cluster(self, attachment: Attachment, parameters: dict[str, Any]) -> Any:
        """Return the client of a cluster. Only by ``url`` does it take a connection class for its nodes."""
        module = self._import("cluster")
        plain = attachment.url.rebuild(scheme=self.plain_scheme, query={}, first_host=True)
        endpoints = attachment.url.endpoints(self.default_port)[1:]
        return check_cluster(attachment, getattr(module, self.cluster_class))(**{
            **parameters, "url": plain, "startup_nodes": [module.ClusterNode(*each) for each in endpoints],
            "connection_class": self._connection_class(attachment, asynchronous=False),
        })  # fmt: skip

    def _async_cluster(self, attachment: Attachment, parameters: dict[str, Any]) -> Any:
        """Return the asynchronous client of a cluster, whose nodes get the connection class before they connect."""
        module = self._import("asyncio.cluster")
        endpoints = attachment.url.endpoints(self.default_port)
        for name in ("host", "port", "db"):
            parameters.pop(name, None)
        cluster = check_async_cluster(attachment, getattr(module, self.cluster_class))(
            startup_nodes=[module.ClusterNode(*each) for each in endpoints], **parameters
        )
        connection_class = self._connection_class(attachment, asynchronous=True)
        cluster.connection_kwargs["connection_class"] = connection_class
        cluster.nodes_manager.connection_kwargs["connection_class"] = connection_class
        for node in cluster.nodes_manager.startup_nodes.values():
            node.connection_class = connection_class
        return cluster

    def _sentinel(self, attachment: Attachment, parameters: dict[str, Any], *, asynchronous: bool) -> Any:
        """Return a ``Sentinel`` whose own clients, and those of the masters that it names, are checked."""
        module = self._import("asyncio.sentinel" if asynchronous else "sentinel")
        client = getattr(self._import("asyncio") if asynchronous else self._import(), self.client_class)
        own: dict[str, Any] = {name: value for name, value in parameters.items() if name.startswith("socket_")}
        own |= parameters.pop("sentinel_kwargs", {})
        for name in ("host", "port"):
            parameters.pop(name, None)
        sentinel = module.Sentinel([], sentinel_kwargs={}, **{
            **parameters,
            "connection_class": self._connection_class(attachment, asynchronous=asynchronous, module="sentinel"),
        })  # fmt: skip
        sentinel.sentinels = [
            client(connection_pool=self._pool(
                attachment, {**own, "host": host, "port": port}, asynchronous=asynchronous
            ))
            for host, port in attachment.url.endpoints(SENTINEL_PORT)
        ]  # fmt: skip
        return sentinel


def uses_tls(attachment: Attachment) -> bool:
    """Return whether connections use TLS: policy or scheme asks for it; without enforcement, the scheme alone."""
    by_scheme = attachment.url.scheme in SECURE_SCHEMES
    return by_scheme or (attachment.policy.enforced and attachment.needs_tls)


def _refuse_weak_query(attachment: Attachment) -> None:
    for name, strong in (("ssl_cert_reqs", ("required",)), ("ssl_check_hostname", ("true", "1", "yes", "on"))):
        value = attachment.url.query.get(name, strong[0])
        if value.lower() not in strong and uses_tls(attachment):
            attachment.refuse("tls", f"the URL asks for {name}={value}", "Leave it out: tls of this resource decides")


def _service(attachment: Attachment) -> str:
    return attachment.url.path.partition("/")[0] or "mymaster"


def _refuse_variant(attachment: Attachment, kind: str) -> None:
    if attachment.url.driver in (CLUSTER, SENTINEL):
        raise TypeError(f"{attachment.name}: a {attachment.url.driver} has no {kind}() of connections; use client()")
