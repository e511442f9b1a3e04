"""A shop on MariaDB: every statement needs a right that another one does not give."""

import sys
from urllib.parse import urlsplit

import pymysql


def main(url: str) -> None:
    """Run every statement once; an app that lacks a right fails."""
    parts = urlsplit(url)
    with (
        pymysql.connect(
            host=parts.hostname, port=parts.port or 3306, user=parts.username, password=parts.password or "",
            database=parts.path[1:], autocommit=True,
        ) as connection,
        connection.cursor() as cursor,
    ):  # fmt: skip
        run = cursor.execute
        run("INSERT INTO customers (name) VALUES (%s)", ("Ann",))
        run("SELECT `Total Price` FROM `Or``der` WHERE customer = %s", (1,))
        run("SELECT o.customer FROM overview AS o")
        run("UPDATE `Or``der` SET `Total Price` = 3")
        run("UPDATE stock SET amount = amount - 1 WHERE item = %s", ("tea",))
        run("DELETE FROM sessions ORDER BY until LIMIT 1")
        run("REPLACE INTO settings VALUES (%s, 1)", ("theme",))
        run("INSERT INTO counters (name, value) VALUES ('visits', 1) ON DUPLICATE KEY UPDATE value = value + 1")
        run("TRUNCATE TABLE staging")
        run("CALL close_day()")
        run("SELECT discount(3)")
        run("SELECT j.id FROM jobs AS j FOR UPDATE")
        run("UPDATE items AS i JOIN prices AS p ON p.item = i.id SET i.price = p.price")
        run("CREATE TEMPORARY TABLE scratch AS SELECT item FROM prices")
        run("LOCK TABLES customers WRITE")
        run("UNLOCK TABLES")


if __name__ == "__main__":
    main(sys.argv[1])
