"""Flask, with one helper through which every statement goes."""

import sqlite3
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import flask

from bench.campaigns.apps.serving import arguments, page, serve

app = flask.Flask(__name__)


def connect(url: str) -> Any:
    """Connect to the database of a URL."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return sqlite3.connect(parts.path, timeout=10)
    if parts.scheme == "postgresql":
        import psycopg2

        return psycopg2.connect(url)
    import pymysql

    return pymysql.connect(
        host=parts.hostname, port=parts.port or 3306, user=parts.username, password=parts.password or "",
        database=parts.path[1:],
    )  # fmt: skip


def rows(statement: str, parameters: Sequence[str] = ()) -> list[Any]:
    """Run a statement on a connection of its own: the one call site of all routes."""
    url = str(app.config["DATABASE"])
    connection = connect(url)
    try:
        cursor = connection.cursor()
        if parameters:
            cursor.execute(statement.replace("%s", "?") if url.startswith("sqlite") else statement, parameters)
        else:
            cursor.execute(statement)
        found = list(cursor.fetchall()) if cursor.description else []
        connection.commit()
        return found
    finally:
        connection.close()


@app.get("/member")
def member() -> str:
    """One member by its number."""
    return page(rows("SELECT id, full_name, city FROM member WHERE id = %s", (flask.request.args["id"],)))


@app.get("/titles")
def titles() -> str:
    """Titles whose name has a word."""
    word = f"%{flask.request.args['word']}%"
    return page(rows("SELECT id, name, year FROM title WHERE name LIKE %s ORDER BY name LIMIT 20", (word,)))


@app.get("/loans")
def loans() -> str:
    """Open loans of a member."""
    statement = "SELECT l.id, c.barcode, l.due_on FROM loan l JOIN copy c ON c.id = l.copy_id WHERE l.member_id = %s"
    return page(rows(statement, (flask.request.args["member"],)))


@app.get("/branches")
def branches() -> str:
    """All branches."""
    return page(rows("SELECT id, name, city FROM branch ORDER BY name"))


@app.get("/find")
def find() -> str:
    """Members by number and part of the name; vulnerable."""
    number, name = flask.request.args["id"], flask.request.args["name"]
    return page(
        rows(f"SELECT id, full_name, city FROM member WHERE id >= {number} AND full_name LIKE '%{name}%' LIMIT 20")
    )


@app.get("/sorted")
def sort() -> str:
    """Titles in the order that the visitor chose; vulnerable."""
    return page(rows(f"SELECT id, name, year FROM title ORDER BY {flask.request.args['by']} LIMIT 20"))


@app.get("/move")
def move() -> str:
    """Store a member's city."""
    return page(
        rows("UPDATE member SET city = %s WHERE id = %s", (flask.request.args["city"], flask.request.args["member"]))
    )


@app.get("/neighbours")
def neighbours() -> str:
    """Members in the city of a member; vulnerable by what ``/move`` stored."""
    [(city,)] = rows("SELECT city FROM member WHERE id = %s", (flask.request.args["member"],))
    return page(rows(f"SELECT id, full_name FROM member WHERE city = '{city}' ORDER BY full_name LIMIT 20"))


if __name__ == "__main__":
    app.config["DATABASE"], port = arguments()
    serve(app, port)
