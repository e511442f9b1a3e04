"""A shop on PostgreSQL: every statement needs a right that another one does not give."""

import sys

import psycopg


def main(url: str) -> None:
    """Run every statement once; an app that lacks a right fails."""
    with psycopg.connect(url, autocommit=True) as connection:
        run = connection.execute
        run("INSERT INTO customers (name, mail) VALUES (%s, %s) RETURNING id", ("Ann", "ann@example.com"))
        run("INSERT INTO sales.audit_log VALUES (DEFAULT, %s)", ("logged in",))
        run('SELECT "Total Price" FROM sales."Order" WHERE customer = %s', (1,))
        run("SELECT c.name FROM customers AS c JOIN sales.overview o ON o.customer = c.id")
        run('UPDATE sales."Order" SET "Total Price" = 3')
        run("UPDATE sales.stock SET amount = amount - 1 WHERE item = %s", ("tea",))
        run("DELETE FROM sessions WHERE until < now()")
        run("WITH old AS (SELECT id FROM archive_source WHERE id < %s) INSERT INTO archive SELECT id FROM old", (3,))
        run(
            "INSERT INTO counters (name, value) VALUES (%s, 1) "
            "ON CONFLICT (name) DO UPDATE SET value = counters.value + 1",
            ("visits",),
        )
        run("INSERT INTO seen (name) VALUES (%s) ON CONFLICT DO NOTHING", ("x",))
        run("SELECT id FROM jobs WHERE done IS NOT TRUE FOR UPDATE SKIP LOCKED")
        run("SELECT reserved(%s)", (1,))
        run("SELECT nextval('ticket')")
        run("TRUNCATE staging")
        with connection.cursor().copy("COPY imports (line) FROM STDIN") as copy:
            copy.write("a\n")
        with connection.cursor().copy("COPY exports TO STDOUT") as copy:
            for _ in copy:
                pass
        run("CREATE TEMPORARY TABLE scratch AS SELECT id FROM customers")


if __name__ == "__main__":
    main(sys.argv[1])
