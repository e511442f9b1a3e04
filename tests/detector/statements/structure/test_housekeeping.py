"""Statements of transactions and drivers are never news; what reaches further than the session is."""

import numpy as np
import pytest

from backwatch.collector.statements.canonical import canonicalize
from backwatch.collector.statements.dialects import dialect_of
from backwatch.detector.statements.structure.encoding import tokens_of
from backwatch.detector.statements.structure.housekeeping import is_housekeeping

PLAIN = {
    "postgresql": (
        "BEGIN", "BEGIN; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "COMMIT", "ROLLBACK", "ROLLBACK TO s1",
        'SAVEPOINT "sa_savepoint_1"', "RELEASE SAVEPOINT s1", "START TRANSACTION READ ONLY", "SET TIME ZONE 'UTC'",
        "SET client_encoding TO 'UTF8'", "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "SET LOCAL statement_timeout = 500", "SELECT set_config('TimeZone', 'UTC', false)",
        "SELECT pg_catalog.version()",
        "select current_schema()", "show standard_conforming_strings", "show transaction isolation level",
        "DEALLOCATE ALL", "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;", "SELECT 1",
        "COMMIT PREPARED 'x'",
    ),
    "mysql": (
        "SET AUTOCOMMIT = 0", "SET NAMES utf8mb4", "SET NAMES 'utf8mb4' COLLATE 'utf8mb4_general_ci'",
        "SET autocommit=0",
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "SET SQL_AUTO_IS_NULL = 0", "START TRANSACTION",
        "SET sql_mode='STRICT_TRANS_TABLES', time_zone = '+00:00'", "SELECT @@transaction_isolation",
        "SELECT VERSION(), @@sql_mode, @@sql_auto_is_null, CONVERT_TZ('2001-01-01 01:00:00', 'UTC', 'UTC') IS NOT NULL",
        "COMMIT", "ROLLBACK", "SAVEPOINT a", "SHOW WARNINGS", "SET @@session.autocommit = OFF",
    ),
    "sqlite": (
        "BEGIN ", "BEGIN IMMEDIATE", "COMMIT", "ROLLBACK TO a", "SAVEPOINT a", "PRAGMA foreign_keys = ON",
        "PRAGMA journal_mode=WAL",
    ),
    "oracle": ("ALTER SESSION SET NLS_DATE_FORMAT = 'YYYY-MM-DD'", "COMMIT", "ROLLBACK", "SAVEPOINT a"),
    "microsoft.sql_server": (
        "BEGIN TRANSACTION", "IF @@TRANCOUNT > 0 COMMIT TRAN", "IF @@TRANCOUNT > 0 ROLLBACK", "SAVE TRANSACTION a",
        "SET NOCOUNT ON", "SET TRANSACTION ISOLATION LEVEL SNAPSHOT", "SET ANSI_NULLS ON; SET QUOTED_IDENTIFIER ON",
    ),
}  # fmt: skip
NEWS = {
    "postgresql": (
        "SET ROLE postgres", "SET SESSION AUTHORIZATION postgres", "SET session_replication_role = replica",
        "COMMIT; DROP TABLE pet", "BEGIN; SELECT * FROM passwords", "SELECT version() FROM pg_stat_activity",
        "SELECT current_user", "SET x = (SELECT password FROM users)", "SHOW data_directory", "SELECT pg_sleep(5)",
        "COPY t TO PROGRAM 'sh'", "ALTER USER a SUPERUSER", "", "RESET; DELETE FROM pet",
    ),
    "mysql": (
        "SET GLOBAL general_log_file = '/var/www/x.php'", "SET @@global.general_log = 1", "SET PASSWORD = 'x'",
        "SET @x = (SELECT 1)", "SET PERSIST sql_mode = ''", "SET autocommit = 0, GLOBAL local_infile = 1",
        "SELECT @@datadir", "SELECT user()", "SHOW TABLES", "SHOW GRANTS",
    ),
    "sqlite": ("PRAGMA writable_schema = ON", "ATTACH DATABASE 'x.php' AS x"),
    "oracle": ("ALTER SESSION SET EVENTS 'x'", "ALTER SYSTEM SET x = 1"),
    "microsoft.sql_server": ("IF @@TRANCOUNT > 0 EXEC xp_cmdshell 'dir'", "EXEC sp_configure 'xp_cmdshell', 1"),
}  # fmt: skip


def is_plain(statement: str, system: str) -> bool:
    codes, ids = tokens_of(canonicalize(statement, dialect_of(system)))
    return bool(is_housekeeping(codes, ids, codes.shape[0] if statement else 0))


@pytest.mark.parametrize(("system", "statement"), [(system, one) for system, all_ in PLAIN.items() for one in all_])
def test_transactions_and_session_settings_are_never_news(system: str, statement: str) -> None:
    assert is_plain(statement, system)


@pytest.mark.parametrize(("system", "statement"), [(system, one) for system, all_ in NEWS.items() for one in all_])
def test_what_reaches_beyond_the_session_is_news(system: str, statement: str) -> None:
    assert not is_plain(statement, system)


def test_no_tokens_are_no_statement() -> None:
    assert not is_housekeeping(np.zeros(0, np.uint16), np.zeros(0, np.uint32), 0)
