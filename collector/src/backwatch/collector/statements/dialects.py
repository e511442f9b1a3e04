"""The SQL dialects of database systems."""

from typing import Final

_SYSTEMS: Final = {
    "postgresql": "postgresql postgres redshift cockroachdb aws.redshift greenplum yugabytedb timescaledb edb",
    "mysql": "mysql mariadb tidb singlestore aurora vitess doris hive spark databricks bigquery clickhouse",
    "sqlite": "sqlite sqlite3 libsql",
    "mssql": "mssql microsoft.sql_server sybase azure.sql tsql",
}
_DIALECT: Final = {system: dialect for dialect, systems in _SYSTEMS.items() for system in systems.split()}
NOT_SQL: Final = frozenset((
    "redis", "valkey", "keydb", "dragonfly", "memcached", "mongodb", "elasticsearch", "opensearch", "dynamodb",
    "aws.dynamodb", "couchdb", "couchbase", "cosmosdb", "azure.cosmosdb", "neo4j", "influxdb", "hbase",
    "geode", "etcd", "solr", "arangodb", "firestore", "bigtable",
))  # fmt: skip
"""Systems with a query language of their own: parsed as SQL, its strings would be reported as names."""


def is_document(text: str) -> bool:
    """Return whether a text begins like JSON and unlike SQL: its contents are not reported.

    >>> is_document('{"find": "users"}'), is_document("{call reset(?)}"), is_document("SELECT 1")
    (True, False, False)
    """
    start = text[:100].split(maxsplit=1)
    head = "".join(start)[:2]
    return head[:1] in ("{", "[") and head[1:] in ('"', "'", "{", "[", "}", "]")


def dialect_of(system: str) -> str:
    """Return the dialect of ``db.system.name`` (or the older ``db.system``); ``other`` if it is unknown.

    Systems with backslash escapes in strings use MySQL's: in another dialect a string would end too early, and its rest
    would be reported.

    >>> dialect_of("microsoft.sql_server")
    'mssql'
    """
    return _DIALECT.get(system.lower(), "other")
