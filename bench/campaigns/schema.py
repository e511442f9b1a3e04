"""The tables of the app, and the rows that it starts with."""

import re
from random import Random

from bench.campaigns import values
from bench.campaigns.dialect import Dialect

TABLES = {
    "branch": "id {key}, name varchar(60), city varchar(40), phone varchar(30), opened date",
    "staff": "id {key}, branch_id integer, login varchar(30), password_hash varchar(64), full_name varchar(60), "
    "role varchar(10), email varchar(80)",
    "member": "id {key}, card_no varchar(12), full_name varchar(60), email varchar(80), phone varchar(30), "
    "city varchar(40), joined date, active integer, notes text",
    "author": "id {key}, name varchar(60), country varchar(40)",
    "subject": "id {key}, code varchar(8), name varchar(40)",
    "title": "id {key}, isbn varchar(20), name varchar(120), author_id integer, subject_id integer, year integer, "
    "language varchar(4), summary text, price numeric(8, 2)",
    "copy": "id {key}, title_id integer, branch_id integer, barcode varchar(24), state varchar(10), shelf varchar(10)",
    "loan": "id {key}, copy_id integer, member_id integer, lent_on date, due_on date, returned_on date",
    "hold": "id {key}, title_id integer, member_id integer, placed_on date, status varchar(10), place integer",
    "fine": "id {key}, member_id integer, loan_id integer, amount numeric(8, 2), reason varchar(20), paid integer",
    "payment": "id {key}, fine_id integer, amount numeric(8, 2), method varchar(10), reference varchar(40)",
    "event": "id {key}, branch_id integer, name varchar(80), starts_on date, seats integer",
    "booking": "id {key}, event_id integer, member_id integer, seats integer",
    "review": "id {key}, title_id integer, member_id integer, stars integer, body text",
    "transfer": "id {key}, copy_id integer, from_branch integer, to_branch integer, sent_on date, state varchar(10)",
    "setting": "name varchar(40) PRIMARY KEY, value varchar(200)",
    "audit_log": "id {key}, staff_id integer, action varchar(40), detail text, at_on date",
}
ROWS = {
    "branch": (values.BRANCHES, "Branch {city}|{city}|{phone}|{date}"),
    "staff": (12, "{branch_id}|desk{i}|{hash_i}|{full_name}|{role}|desk{i}@example.org"),
    "member": (values.MEMBERS, "L{i:06}|{full_name}|reader{i}@example.org|{phone}|{city}|{date}|{flag}|{text}"),
    "author": (values.AUTHORS, "{full_name}|{city}"),
    "subject": (values.SUBJECTS, "{i:03}|{word}"),
    "title": (
        values.TITLES,
        "978-{i:06}|{phrase} of the {word}|{author_id}|{subject_id}|{year}|{language}|{text}|{amount}",
    ),
    "copy": (values.COPIES, "{title_id}|{branch_id}|{barcode}|{state}|{shelf}"),
    "loan": (500, "{copy_id}|{member_id}|{date}|{date_to}|{returned}"),
    "hold": (120, "{title_id}|{member_id}|{date}|{status}|{seats}"),
    "fine": (80, "{member_id}|{loan_id}|{amount}|{reason}|{flag}"),
    "payment": (50, "{fine_id}|{amount}|{method}|{reference}"),
    "event": (30, "{branch_id}|{phrase} evening|{date}|40"),
    "booking": (80, "{event_id}|{member_id}|{seats}"),
    "review": (120, "{title_id}|{member_id}|{stars}|{text}"),
    "transfer": (30, "{copy_id}|{branch_id}|{to_branch}|{date}|{state}"),
    "setting": (len(values.SETTINGS), "{setting_i}|{plain_text}"),
    "audit_log": (40, "{staff_id}|edit|{text}|{date}"),
}
"""For each table, its number of rows, and the columns of the row ``i``."""
Row = tuple[str | None, ...]


def create(dialect: Dialect) -> list[str]:
    """Return the statements that create the tables."""
    return [f"CREATE TABLE {name} ({columns.format(key=dialect.key)})" for name, columns in TABLES.items()]


def columns(table: str) -> list[str]:
    """Return the names of the columns that the app fills."""
    names = [part.split()[0] for part in TABLES[table].replace("(8, 2)", "").split(", ")]
    return [name for name in names if name != "id"]


def rows(seed: int = 1) -> dict[str, list[Row]]:
    """Return the rows of each table."""
    random = Random(seed)
    return {
        table: [tuple(_cell(column, i, random) for column in pattern.split("|")) for i in range(1, count + 1)]
        for table, (count, pattern) in ROWS.items()
    }


def _cell(column: str, i: int, random: Random) -> str | None:
    if column == "{returned}" and random.random() < 0.3:
        return None
    facts = {"i": str(i), "i:06": f"{i:06}", "i:03": f"{i:03}", "hash_i": values.HASHES[(i - 1) % 12]}
    facts["setting_i"] = values.SETTINGS[(i - 1) % len(values.SETTINGS)]

    def fill(match: re.Match[str]) -> str:
        name = "date" if match[1] == "returned" else match[1]
        return facts[name] if name in facts else values.FIELDS[name](random)

    return re.sub(r"\{([\w:]+)\}", fill, column)
