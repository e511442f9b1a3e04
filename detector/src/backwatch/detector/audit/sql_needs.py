"""Derives from a redacted SQL text which rights on which objects it needs. The server's catalogue resolves the names.

This reads what honest drivers and object mappers send; it is no full grammar. What it does not understand becomes a
need of kind ``unknown``, which the report shows, and never a grant.
"""

from itertools import pairwise
from typing import Final

from backwatch.collector.statements.spec import split_words
from backwatch.detector.audit.sql_reading import (
    QUERIES,
    Clause,
    PartReader,
    Reference,
    SqlNeed,
    is_mark,
    split_commas,
)
from backwatch.detector.audit.sql_tokens import CUT, Group, Items, Token, group, tokenize

__all__ = ["SqlNeed", "derive_needs"]

MAX_LOCKS: Final = 8
"""Locking clauses of one query that are read."""
_SET_OPERATIONS: Final = frozenset({"UNION", "INTERSECT", "EXCEPT", "MINUS"})
_OWNER_VERBS: Final = split_words(
    """
    CREATE ALTER DROP COMMENT RENAME VACUUM ANALYZE ANALYSE REINDEX CLUSTER REFRESH OPTIMIZE REPAIR REASSIGN
    SECURITY IMPORT INSTALL UNINSTALL
    """
)
_RIGHTS_VERBS: Final = frozenset({"GRANT", "REVOKE"})
_NO_NEEDS: Final = split_words(
    """
    BEGIN START COMMIT ROLLBACK END ABORT SAVEPOINT RELEASE SET RESET SHOW LISTEN UNLISTEN NOTIFY FETCH CLOSE
    MOVE DEALLOCATE DISCARD USE EXECUTE CHECKPOINT UNLOCK PING CONNECT HELP KILL FLUSH DESCRIBE DESC VALUES
    XA HANDLER
    """
)


def derive_needs(text: str, *, mysql: bool = False) -> frozenset[SqlNeed]:
    """Return what the statements in ``text`` need.

    >>> sorted(derive_needs("UPDATE Shop.Orders SET a = ? WHERE id = ?"))[0].name
    ('shop', 'orders')
    """
    walker = _Walker(mysql=mysql)
    tokens = tokenize(text, mysql=mysql)
    if any(token.text == CUT for token in tokens):
        walker.add("", "unknown")
    for statement in group(tokens):
        walker.statement(statement, frozenset())
    return frozenset(walker.needs)


class _Walker(PartReader):
    """The walk over statements."""

    def statement(self, items: Items, temporary: frozenset[str]) -> None:
        """Walk over one statement; ``temporary`` are names of common table expressions."""
        while items and isinstance(items[0], Group) and len(items) == 1:
            items = items[0].items
        if items and items[0].word == "WITH":
            items, temporary = self._common_tables(items, temporary)
        parts: list[Items] = [[]]
        for item in items:
            if item.word in _SET_OPERATIONS and isinstance(item, Token):
                parts.append([])
            elif not (item.word in ("ALL", "DISTINCT") and not parts[-1] and len(parts) > 1):
                parts[-1].append(item)
        for part in parts:
            if part:
                self._simple(part, temporary)

    def _common_tables(self, items: Items, temporary: frozenset[str]) -> tuple[Items, frozenset[str]]:
        bodies: list[Items] = []
        at, known = 1 + (len(items) > 1 and items[1].word == "RECURSIVE"), set(temporary)
        while at < len(items):
            name = items[at]
            if not isinstance(name, Token) or not name.is_name:
                break
            known.add(self.fold(name))
            at += 1
            while at < len(items) and not (
                isinstance(items[at], Group) and items[at - 1].word in ("AS", "MATERIALIZED")
            ):
                at += 1
            if at < len(items):
                body = items[at]
                bodies.append(body.items if isinstance(body, Group) else [])
            at += 1
            if not (at < len(items) and is_mark(items[at], ",")):
                break
            at += 1
        for body in bodies:
            self.statement(body, frozenset(known))
        return items[at:], frozenset(known)

    def _simple(self, items: Items, temporary: frozenset[str]) -> None:
        verb = items[0].word if isinstance(items[0], Token) else "SELECT"
        if verb == "SELECT":
            self._select(items, temporary)
        elif verb in ("INSERT", "REPLACE"):
            self._insert(items, temporary, verb)
        elif verb == "UPDATE":
            self._update(items, temporary)
        elif verb == "DELETE":
            self._delete(items, temporary)
        elif verb == "MERGE":
            self._merge(items, temporary)
        elif verb == "VALUES":
            self.walk_expression(items, temporary)
        else:
            self._other(verb, items, temporary)

    def _other(self, verb: str, items: Items, temporary: frozenset[str]) -> None:
        if verb in ("EXPLAIN", "PREPARE", "DECLARE"):
            start = next((at for at, item in enumerate(items) if at and item.word in QUERIES), 0)
            if start:
                self.statement(items[start:], temporary)
        elif verb == "TABLE":
            self.add_tables(self.read_tables(items[1:])[0], temporary, "SELECT")
        elif verb == "COPY":
            self._copy(items, temporary)
        elif verb in ("TRUNCATE", "LOCK"):
            rest = items[1 + (len(items) > 1 and items[1].word in ("TABLE", "TABLES")) :]
            clause, _ = self.read_tables(rest)
            is_reading = ("ACCESS", "SHARE") in pairwise(item.word for item in rest)  # LOCK … IN ACCESS SHARE MODE
            self.add_tables(clause, temporary, "SELECT" if is_reading else verb)
        elif verb == "CALL":
            name, at = self.read_name(items, 1)
            self.add("EXECUTE", "function", name)
            self.walk_expression(items[at:], temporary)
        elif verb == "LOAD":
            self.add("LOAD", "file")
        elif verb == "SET" and any(item.word in ("ROLE", "AUTHORIZATION") for item in items[1:4]):
            self.add("SET ROLE", "role")
        elif verb in _RIGHTS_VERBS or (
            verb in ("CREATE", "ALTER", "DROP") and any(item.word in ("USER", "ROLE", "GROUP") for item in items[1:4])
        ):
            self.add(verb, "rights")
        elif verb == "CREATE" and any(item.word in ("TEMP", "TEMPORARY") for item in items[1:4]):
            self.add("TEMPORARY", "temporary")
            start = next((at for at, item in enumerate(items) if item.word in ("SELECT", "WITH")), 0)
            if start:
                self.statement(items[start:], temporary)
        elif verb in _OWNER_VERBS:
            self.add(verb, "owner")
        elif verb not in _NO_NEEDS:
            self.add(verb, "unknown")

    def _select(self, items: Items, temporary: frozenset[str]) -> None:
        start = self.find_word(items, {"FROM"})
        clause = Clause()
        end = start
        if start < len(items):
            clause, end = self.read_tables(items, start + 1)
            self.add_tables(clause, temporary, "SELECT")
        self.walk_expression(items, temporary)
        locks = 0
        for at, item in enumerate(items):
            if item.word == "INTO" and at + 1 < len(items):
                following = items[at + 1]
                if following.word in ("OUTFILE", "DUMPFILE"):
                    self.add("WRITE", "file")
                elif isinstance(following, Token) and following.is_name:
                    self.add("SELECT INTO", "owner")
            if (
                item.word == "FOR" and at >= end and at + 1 < len(items) and locks < MAX_LOCKS
                and items[at + 1].word in ("UPDATE", "SHARE", "NO", "KEY")
            ):  # fmt: skip
                locks += 1
                self.add_tables(self._of(items[at:], clause), temporary, "LOCK ROWS")

    def _of(self, items: Items, clause: Clause) -> Clause:
        start = self.find_word(items, {"OF"})
        if start == len(items):
            return clause
        named = {self.fold(item) for item in items[start:] if isinstance(item, Token) and item.is_name}
        return Clause([table for table in clause.tables if table.alias in named])

    def _insert(self, items: Items, temporary: frozenset[str], verb: str) -> None:
        at = next((at for at, item in enumerate(items) if item.word == "INTO"), 0) + 1
        while at < len(items) and items[at].word in ("IGNORE", "LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "INTO"):
            at += 1
        target, at = self.read_name(items, at)
        clause = Clause([Reference(target, target[-1] if target else "")])
        conflict = next(
            (
                i
                for i in range(at, len(items) - 1)
                if items[i].word == "ON" and items[i + 1].word in ("CONFLICT", "DUPLICATE")
            ),
            len(items),
        )
        returning = self.find_word(items, {"RETURNING"}, at)
        body = items[at : min(conflict, returning)]
        columns, body = self._insert_columns(body)
        self.add("INSERT", "table", target, columns)
        if verb == "REPLACE":
            self.add("DELETE", "table", target)
        start = next((i for i, item in enumerate(body) if item.word in ("SELECT", "WITH", "TABLE")), len(body))
        if start < len(body):
            self.statement(body[start:], temporary)
        else:
            self.walk_expression(body, temporary)
        action = items[conflict:returning]
        if action:
            self._conflict(action, clause, temporary)
        if returning < len(items):
            self._returning(items[returning + 1 :], clause, temporary)

    def _insert_columns(self, body: Items) -> tuple[tuple[str, ...] | None, Items]:
        """Return the columns to which every row gives a value, and what follows the list of columns."""
        at = next((i for i, item in enumerate(body) if isinstance(item, Group)), len(body))
        listed = body[at] if at < len(body) else None
        if (
            not isinstance(listed, Group)
            or listed.word in QUERIES
            or any(item.word not in ("", "AS") for item in body[:at])
        ):
            return None, body
        columns = [self.fold(item) for item in listed.items if isinstance(item, Token) and item.is_name]
        omitted: set[str] = set()
        for row in body[at + 1 :]:
            if isinstance(row, Group):
                values = split_commas(row.items)
                omitted |= {
                    column for column, value in zip(columns, values, strict=False)
                    if len(value) == 1 and value[0].word == "DEFAULT"
                }  # fmt: skip
        return tuple(sorted(set(columns) - omitted)), body[at + 1 :]

    def _conflict(self, action: Items, clause: Clause, temporary: frozenset[str]) -> None:
        update = self.find_word(action, {"UPDATE"})
        if action[1].word == "DUPLICATE" or any(isinstance(item, Group) for item in action[:update]):
            self.add_tables(clause, temporary, "SELECT")  # of the columns that the conflict is about; MariaDB: always
        if update < len(action):
            self.add_tables(clause, temporary, "UPDATE")
            self._assignments(action[update + 1 :], clause, temporary, skip_set=True)

    def _update(self, items: Items, temporary: frozenset[str]) -> None:
        at = 1
        while at < len(items) and items[at].word in ("ONLY", "LOW_PRIORITY", "IGNORE"):
            at += 1
        begin = at
        clause, at = self.read_tables(items, begin)
        targets = clause
        self.walk_expression(items[begin:at], temporary)
        assignments_end = self.find_word(items, {"FROM", "WHERE", "RETURNING", "ORDER", "LIMIT"}, at)
        if any(isinstance(item, Group) or item.word == "JOIN" or is_mark(item, ",") for item in items[begin:at]):
            changed = {
                self.fold(value[0]) for value in split_commas(items[at + 1 : assignments_end])
                if len(value) > 1 and isinstance(value[0], Token) and is_mark(value[1], ".")
            }  # fmt: skip
            targets = Clause([table for table in clause.tables if table.alias in changed]) if changed else clause
            self.add_tables(clause, temporary, "SELECT")
        self.add_tables(targets, temporary, "UPDATE")
        self._assignments(items[at:assignments_end], targets, temporary, skip_set=True)
        self._rest(items, assignments_end, targets, temporary, source="FROM")

    def _delete(self, items: Items, temporary: frozenset[str]) -> None:
        start = self.find_word(items, {"FROM"})
        begin = start + 1 if start < len(items) else 1
        clause, at = self.read_tables(items, begin)
        targets = clause
        self.walk_expression(items[begin:at], temporary)
        named = {self.fold(item) for item in items[1:start] if isinstance(item, Token) and item.is_name}
        listed = Clause([table for table in clause.tables if table.alias in named])
        if listed.tables:  # MySQL: DELETE a FROM a JOIN b
            targets = listed
            self.add_tables(clause, temporary, "SELECT")
        self.add_tables(targets, temporary, "DELETE")
        self._rest(items, at, targets, temporary, source="USING")

    def _rest(self, items: Items, at: int, targets: Clause, temporary: frozenset[str], *, source: str) -> None:
        """Walk over what follows the changed tables: further tables, the condition, what is returned."""
        further = self.find_word(items, {source}, at)
        if further < len(items):
            clause, end = self.read_tables(items, further + 1)
            self.add_tables(clause, temporary, "SELECT")
            self.walk_expression(items[further + 1 : end], temporary)
        condition = self.find_word(items, {"WHERE", "ORDER"}, at)
        returning = self.find_word(items, {"RETURNING"}, at)
        if condition < len(items):
            self.walk_reading(items[condition + 1 : returning], targets, temporary)
        if returning < len(items):
            self._returning(items[returning + 1 :], targets, temporary)

    def _merge(self, items: Items, temporary: frozenset[str]) -> None:
        into, using = self.find_word(items, {"INTO"}), self.find_word(items, {"USING"})
        target, _ = self.read_tables(items[:using], into + 1)
        source, _ = self.read_tables(items, using + 1)
        self.add_tables(source, temporary, "SELECT")
        self.add_tables(target, temporary, "SELECT")
        for at, item in enumerate(items):
            if item.word in ("INSERT", "UPDATE", "DELETE") and items[at - 1].word == "THEN":
                self.add_tables(target, temporary, item.word)
        self.walk_expression(items, temporary)

    def _copy(self, items: Items, temporary: frozenset[str]) -> None:
        if len(items) > 1 and isinstance(items[1], Group):
            self.statement(items[1].items, temporary)
            at = 2
        else:
            name, at = self.read_name(items, 1)
            at += at < len(items) and isinstance(items[at], Group)
            reads = at < len(items) and items[at].word == "TO"
            self.add_tables(Clause([Reference(name, "")]), temporary, "SELECT" if reads else "INSERT")
        if at + 1 < len(items):
            target = items[at + 1]
            if target.word == "PROGRAM":
                self.add("PROGRAM", "program")
            elif target.word not in ("STDIN", "STDOUT"):
                self.add("WRITE" if items[at].word == "TO" else "READ", "file")
