"""Which dialect a system speaks."""

from typing import Final

_SYSTEMS: Final = {
    "postgresql": "postgresql postgres redshift cockroachdb aws.redshift greenplum yugabytedb timescaledb edb",
    "mysql": "mysql mariadb tidb singlestore aurora vitess doris hive spark databricks bigquery clickhouse",
    "sqlite": "sqlite sqlite3 libsql",
    "mssql": "mssql microsoft.sql_server sybase azure.sql tsql",
}
_DIALECT: Final = {system: dialect for dialect, systems in _SYSTEMS.items() for system in systems.split()}


def dialect_of(system: str) -> str:
    """The dialect of ``db.system.name`` (or the older ``db.system``); ``other`` where none is known.

    Systems whose strings know the backslash go with MySQL: read otherwise, a string would end too early and be told.

    >>> dialect_of("microsoft.sql_server")
    'mssql'
    """
    return _DIALECT.get(system.lower(), "other")
