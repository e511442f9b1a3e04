"""Which dialect a system speaks."""

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
"""Systems that are asked in a language of their own: read as SQL, its strings would be told as names."""


def is_document(text: str) -> bool:
    """Return whether it begins as JSON does, and as no SQL: what it holds is not told.

    >>> is_document('{"find": "users"}'), is_document("{call reset(?)}"), is_document("SELECT 1")
    (True, False, False)
    """
    start = text[:100].split(maxsplit=1)
    begun = "".join(start)[:2]
    return begun[:1] in ("{", "[") and begun[1:] in ('"', "'", "{", "[", "}", "]")


def dialect_of(system: str) -> str:
    """The dialect of ``db.system.name`` (or the older ``db.system``); ``other`` where none is known.

    Systems whose strings know the backslash go with MySQL: read otherwise, a string would end too early and be told.

    >>> dialect_of("microsoft.sql_server")
    'mssql'
    """
    return _DIALECT.get(system.lower(), "other")
