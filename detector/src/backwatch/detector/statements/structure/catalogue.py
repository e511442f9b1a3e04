"""Statements that read nothing but the database's catalogue, as mappers, reports and migrations do of their own."""

from typing import Any, Final

from backwatch.collector import names
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.statements.structure.known import holds, role_hash
from backwatch.detector.statements.structure.roles import TABLE
from backwatch.detector.statements.structure.vocabulary import SEMICOLON, K
from backwatch.detector.statements.structure.word_ids import ids_of, is_in

_RELATIONS: Final = ids_of(
    """
    PG_AGGREGATE PG_AM PG_AMOP PG_AMPROC PG_ATTRDEF PG_ATTRIBUTE PG_AVAILABLE_EXTENSIONS
    PG_CAST PG_CLASS PG_COLLATION PG_CONSTRAINT PG_CONVERSION PG_DATABASE PG_DEPEND PG_DESCRIPTION PG_ENUM
    PG_EVENT_TRIGGER PG_EXTENSION PG_FOREIGN_DATA_WRAPPER PG_FOREIGN_SERVER PG_FOREIGN_TABLE PG_INDEX PG_INDEXES
    PG_INHERITS PG_LANGUAGE PG_MATVIEWS PG_NAMESPACE PG_OPCLASS PG_OPERATOR PG_OPFAMILY PG_PARTITIONED_TABLE
    PG_POLICIES PG_POLICY PG_PROC PG_PUBLICATION PG_PUBLICATION_TABLES PG_RANGE PG_REWRITE PG_RULES
    PG_SEQUENCE PG_SEQUENCES PG_SHDESCRIPTION PG_STATS PG_TABLES PG_TABLESPACE PG_TRIGGER PG_TYPE
    PG_VIEWS
    TABLES COLUMNS VIEWS SCHEMATA ROUTINES TRIGGERS PARAMETERS SEQUENCES DOMAINS KEY_COLUMN_USAGE
    TABLE_CONSTRAINTS REFERENTIAL_CONSTRAINTS CHECK_CONSTRAINTS CONSTRAINT_COLUMN_USAGE CONSTRAINT_TABLE_USAGE
    STATISTICS PARTITIONS ENGINES COLLATIONS CHARACTER_SETS
    SQLITE_MASTER SQLITE_SCHEMA SQLITE_TEMP_MASTER SQLITE_TEMP_SCHEMA
    ALL_TABLES ALL_VIEWS ALL_MVIEWS ALL_TAB_COLUMNS ALL_TAB_COLS ALL_CONSTRAINTS ALL_CONS_COLUMNS ALL_INDEXES
    ALL_IND_COLUMNS ALL_IND_EXPRESSIONS ALL_SEQUENCES ALL_SYNONYMS ALL_TAB_COMMENTS ALL_COL_COMMENTS ALL_OBJECTS
    ALL_TAB_IDENTITY_COLS USER_TABLES USER_VIEWS USER_TAB_COLUMNS USER_CONSTRAINTS USER_CONS_COLUMNS
    USER_INDEXES USER_SEQUENCES
    OBJECTS ALL_COLUMNS INDEXES INDEX_COLUMNS KEY_CONSTRAINTS FOREIGN_KEYS FOREIGN_KEY_COLUMNS SCHEMAS TYPES
    DEFAULT_CONSTRAINTS COMPUTED_COLUMNS IDENTITY_COLUMNS EXTENDED_PROPERTIES SQL_MODULES DATABASES
    """
)
"""Ids of the relations that describe a database, ascending. Of a qualified name the tokens hold the last part.
Accounts, settings and activity are not among them."""
_SELECT, _UNION, _INTERSECT, _EXCEPT, _MINUS = (K[word] for word in ("SELECT", "UNION", "INTERSECT", "EXCEPT", "MINUS"))
_COMMON: Final = ids_of(
    """
    TABLES COLUMNS VIEWS SCHEMATA ROUTINES TRIGGERS PARAMETERS SEQUENCES DOMAINS STATISTICS PARTITIONS ENGINES
    COLLATIONS CHARACTER_SETS OBJECTS ALL_COLUMNS ALL_OBJECTS INDEXES SCHEMAS TYPES DATABASES
    """
)
"""Those of them that an app may call a table of its own."""
_CATALOGUE: Final = 1 << names.SIGNS.index("catalogue")
_EXPECTED: Final = _CATALOGUE | 1 << names.SIGNS.index("version-probe")


@kernel
def reads_catalogue_alone(codes: Any, ids: Any, roles: Any, count: int, signs: int, known: Any) -> bool:
    """Return whether a statement is one query of the catalogue alone, and shows no other sign.

    Injected text keeps the beginning of the app's statement, and so a table of the app. ``known`` are the names that
    the resource is known for: a common one among them is a table of the app.
    """
    if count == 0 or codes[0] != _SELECT or signs & _CATALOGUE == 0 or signs & ~_EXPECTED != 0:
        return False
    found = False
    for k in range(count):
        code = codes[k]
        if code == SEMICOLON or code == _UNION or code == _INTERSECT or code == _EXCEPT or code == _MINUS:
            return False
        if roles[k] == TABLE:
            if not is_in(ids[k], _RELATIONS):
                return False
            if not found and is_in(ids[k], _COMMON) and holds(known, role_hash(TABLE, ids[k])):
                return False
            found = True
    return found
