"""Facts about the resource: the kind of service, and where the app looks for it."""

from typing import Final

from backwatch.collector import names
from backwatch.collector.facts.fact import Fact

FACTS: Final = (
    Fact(
        name=names.DB_SYSTEM, type="text", scope="session", kind="address", domain="resource", order=310,
        older=("db.system",),
        label="Database system", meaning="Kind of database: postgresql, redis.", example="postgresql",
    ),
    Fact(
        name=names.MESSAGING_SYSTEM, type="text", scope="session", kind="address", domain="resource", order=320,
        label="Messaging system", meaning="Kind of broker: kafka, rabbitmq.", example="kafka",
    ),
    Fact(
        name=names.RPC_SYSTEM, type="text", scope="session", kind="address", domain="resource", order=330,
        older=("rpc.system.name",),
        label="RPC system", meaning="Kind of RPC: grpc, aws-api.", example="grpc",
    ),
    Fact(
        name=names.SYSTEM, type="text", scope="session", kind="address", domain="resource", order=340,
        label="System", meaning="Kind of service where no convention names one: http, smtp.", example="smtp",
    ),
    Fact(
        name=names.RESOURCE_NAME, type="text", scope="session", kind="address", domain="resource", order=350,
        label="Resource name",
        meaning="Name of the config variable that was attached; replaces system, endpoint and namespace.",
        example="DATABASE_URL",
    ),
    Fact(
        name=names.SERVER_ADDRESS, type="text", scope="session", kind="address", domain="resource", order=360,
        older=("net.peer.name", "net.sock.peer.name", "peer.service"),
        label="Server address", meaning="Host, address or socket that the app asked for.", example="db.internal",
    ),
    Fact(
        name=names.SERVER_PORT, type="number", scope="session", kind="address", domain="resource", order=370,
        older=("net.peer.port",),
        label="Server port", meaning="Port that the app asked for.", example=5432,
    ),
    Fact(
        name=names.DB_NAMESPACE, type="text", scope="session", kind="address", domain="resource", order=380,
        older=("db.name", "db.redis.database_index"),
        label="Database", meaning="Database, schema or database number.", example="shop",
    ),
    Fact(
        name=names.MESSAGING_DESTINATION, type="text", scope="session", kind="address", domain="resource", order=390,
        older=("messaging.destination",),
        label="Destination", meaning="Queue, topic or exchange.", example="orders",
    ),
)  # fmt: skip
