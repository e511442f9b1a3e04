"""The words of the injection signs: functions, objects and keywords by sign."""

from typing import Final

from backwatch.collector.statements.spec import split_words


def _by_word(table: dict[str, str]) -> dict[str, str]:
    return {word: sign for sign, listed in table.items() for word in listed.split()}


SIGN_OF_CALL: Final = _by_word({
    "time-delay": "SLEEP PG_SLEEP PG_SLEEP_FOR PG_SLEEP_UNTIL BENCHMARK RECEIVE_MESSAGE RANDOMBLOB",
    "file-access": "LOAD_FILE PG_READ_FILE PG_READ_BINARY_FILE PG_LS_DIR PG_STAT_FILE LO_IMPORT LO_EXPORT READFILE "
    "WRITEFILE LOAD_EXTENSION OPENROWSET OPENDATASOURCE UTL_FILE",
    "program": "SYS_EXEC SYS_EVAL SYS_GET LIB_MYSQLUDF_SYS_INFO",
    "error-based": "EXTRACTVALUE UPDATEXML XMLTYPE GTID_SUBSET GTID_SUBTRACT JSON_KEYS ST_LATFROMGEOHASH "
    "GET_HOST_ADDRESS DRITHSX ORDMYS CTXSYS QUERY_TO_XML DATABASE_TO_XML",
    "version-probe": "VERSION DATABASE USER SCHEMA SESSION_USER SYSTEM_USER CURRENT_USER SQLITE_VERSION DB_NAME "
    "HOST_NAME CURRENT_DATABASE SYS_CONTEXT USER_NAME SUSER_NAME SUSER_SNAME INET_SERVER_ADDR SERVERPROPERTY",
    "conditional": "ELT MAKE_SET IS_SRVROLEMEMBER IS_MEMBER",
    "encoded-string": "UNHEX FROM_BASE64",
})  # fmt: skip
"""Functions: the word counts only before a bracket (some only with certain arguments)."""

SIGN_OF_WORD: Final = _by_word({
    "catalogue": "INFORMATION_SCHEMA PG_CATALOG PG_SHADOW PG_AUTHID PG_USER PG_TABLES PG_DATABASE PG_SETTINGS PG_CLASS "
    "PG_ATTRIBUTE SQLITE_MASTER SQLITE_SCHEMA SQLITE_TEMP_MASTER SYSOBJECTS SYSCOLUMNS SYSUSERS SYSDATABASES SYSLOGINS "
    "ALL_TABLES ALL_TAB_COLUMNS ALL_USERS USER_TABLES USER_TAB_COLUMNS DBA_USERS DBA_TABLES MSYSOBJECTS "
    "MSYSACCESSOBJECTS INNODB_TABLE_STATS INNODB_INDEX_STATS SYSIBM SYSTABLES SYSCAT RDB$RELATIONS "
    "RDB$DATABASE RDB$FIELDS ALL_SOURCE ALL_VIEWS ALL_PROCEDURES ALL_OBJECTS DBA_ROLES USER$ MYSQL "
    "SYSPROCESSES V$VERSION V$INSTANCE PRODUCT_COMPONENT_VERSION",
    "program": "XP_CMDSHELL SP_CONFIGURE SP_OACREATE SP_OAMETHOD XP_REGREAD XP_REGWRITE DBMS_SCHEDULER DBMS_JAVA_TEST",
    "file-access": "OUTFILE DUMPFILE XP_DIRTREE XP_FILEEXIST XP_SUBDIRS",
    "version-probe": "@@VERSION @@DATADIR @@HOSTNAME @@BASEDIR @@VERSION_COMPILE_OS @@VERSION_COMMENT @@SERVERNAME "
    "@@TMPDIR",
    "time-delay": "WAITFOR DBMS_LOCK DBMS_PIPE",
    "error-based": "UTL_INADDR UTL_HTTP DBMS_UTILITY DBMS_LDAP HTTPURITYPE CTXSYS ANALYSE",
})  # fmt: skip
"""Words that count in any position."""

CONNECTIVES: Final = frozenset({"OR", "AND", "XOR", "HAVING", "WHERE"})
ALTERNATIVES: Final = frozenset({"OR", "XOR", "|"})
CONDITION_ENDS: Final = frozenset({"", ")", "OR", "AND", "ORDER", "GROUP", "LIMIT", "UNION", ";", "HAVING", "XOR"})
HARMLESS_PAIRS: Final = frozenset({("0", "1"), ("1", "0"), ("1", "1"), ("0", "0"), ("1", "2")})
"""Comparisons that query builders write for "always" and "never"."""

VERBS: Final = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "WITH", "MERGE"})
RUN_ON: Final = frozenset({
    "SELECT", "INSERT", "UPDATE", "DELETE", "DROP", "EXEC", "EXECUTE", "WAITFOR", "SHUTDOWN", "CREATE", "ALTER",
    "DECLARE",
})  # fmt: skip
"""Words that begin a statement without a semicolon before it."""
LAST_ID: Final = split_words("""
    SCOPE_IDENTITY LAST_INSERT_ID LAST_INSERT_ROWID @@ROWCOUNT @@IDENTITY LASTVAL CHANGES FOUND_ROWS ROW_COUNT CURRVAL
    """)  # fmt: skip
"""Queries that drivers append to an INSERT in the same text."""

UNION_FILLERS: Final = frozenset({"ALL", "DISTINCT", "(", "/*!", "*/"})
LIST_ENDS: Final = frozenset({"FROM", "UNION", ")", ";", "WHERE", "LIMIT", "ORDER", "INTO"})
CONSTANT_ENDS: Final = LIST_ENDS | {",", "", "AS"}

PARTS: Final = frozenset({"SUBSTR", "SUBSTRING", "MID", "LEFT", "RIGHT"})
CODES: Final = frozenset({"ASCII", "ORD", "UNICODE"})
CHARACTERS: Final = frozenset({"CHR", "CHAR", "NCHAR"})
FAILING: Final = frozenset({
    "FLOOR", "EXP", "CONVERT", "CAST", "POLYGON", "MULTIPOINT", "LINESTRING", "GEOMETRYCOLLECTION", "MULTIPOLYGON",
    "MULTILINESTRING", "ROW",
})  # fmt: skip
NUMBER_TYPES: Final = split_words("INT INTEGER NUMERIC DECIMAL SIGNED UNSIGNED BIGINT FLOAT DOUBLE")

KEYWORDS: Final = split_words("SELECT UNION FROM WHERE AND INSERT UPDATE DELETE ORDER GROUP LIMIT NULL OR SLEEP CONCAT")
"""Keywords whose mixed letter case is suspicious."""
AFTER_STRING: Final = split_words("""
    AND OR AS FROM THEN ELSE END WHEN IN IS LIKE NOT BETWEEN ORDER GROUP LIMIT UNION COLLATE ESCAPE DESC ASC ON WHERE
    HAVING RETURNING INTO USING FOR WITH VALUES SELECT SEPARATOR DIV MOD XOR ILIKE RLIKE REGEXP EXCEPT INTERSECT
    """)  # fmt: skip
"""Words that may follow a string without a blank."""
