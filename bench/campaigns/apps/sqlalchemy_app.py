"""SQLAlchemy behind Flask: expressions of the core, and one interpolated text."""

from typing import Any

import flask
import sqlalchemy as sa

from bench.campaigns.apps.serving import arguments, page, serve

app = flask.Flask(__name__)
tables = sa.MetaData()
MEMBER = sa.Table(
    "member", tables, sa.Column("id", sa.Integer, primary_key=True), sa.Column("full_name", sa.String(60)),
    sa.Column("city", sa.String(40)),
)  # fmt: skip
TITLE = sa.Table(
    "title", tables, sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(120)),
    sa.Column("year", sa.Integer),
)  # fmt: skip
LOAN = sa.Table(
    "loan", tables, sa.Column("id", sa.Integer, primary_key=True), sa.Column("copy_id", sa.Integer),
    sa.Column("member_id", sa.Integer), sa.Column("due_on", sa.String(10)),
)  # fmt: skip
BRANCH = sa.Table(
    "branch", tables, sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(60)),
    sa.Column("city", sa.String(40)),
)  # fmt: skip
DRIVERS = {"mysql": "mysql+pymysql", "postgresql": "postgresql+psycopg2"}


def rows(statement: Any) -> list[Any]:
    """Run a statement of the core or an interpolated one."""
    engine: sa.Engine = app.config["ENGINE"]
    with engine.begin() as connection:
        found = connection.execute(statement)
        return list(found) if found.returns_rows else []


@app.get("/member")
def member() -> str:
    """One member by its number."""
    number = int(flask.request.args["id"])
    return page(rows(sa.select(MEMBER.c.id, MEMBER.c.full_name, MEMBER.c.city).where(MEMBER.c.id == number)))


@app.get("/titles")
def titles() -> str:
    """Titles whose name has a word."""
    word = flask.request.args["word"]
    return page(rows(sa.select(TITLE).where(TITLE.c.name.contains(word)).order_by(TITLE.c.name).limit(20)))


@app.get("/loans")
def loans() -> str:
    """Loans of a member."""
    return page(rows(sa.select(LOAN.c.id, LOAN.c.copy_id).where(LOAN.c.member_id == int(flask.request.args["member"]))))


@app.get("/branches")
def branches() -> str:
    """All branches."""
    return page(rows(sa.select(BRANCH).order_by(BRANCH.c.name)))


@app.get("/find")
def find() -> str:
    """Members by number and part of the name; vulnerable."""
    number, name = flask.request.args["id"], flask.request.args["name"].replace(":", "\\:")
    return page(
        rows(
            sa.text(
                f"SELECT id, full_name, city FROM member WHERE id >= {number} AND full_name LIKE '%{name}%' LIMIT 20"
            )
        )
    )


@app.get("/sorted")
def sort() -> str:
    """Titles in the order that the visitor chose; vulnerable."""
    by = sa.text(flask.request.args["by"].replace(":", "\\:"))
    return page(rows(sa.select(TITLE).order_by(by).limit(20)))


@app.get("/move")
def move() -> str:
    """Store a member's city."""
    number = int(flask.request.args["member"])
    return page(rows(sa.update(MEMBER).where(MEMBER.c.id == number).values(city=flask.request.args["city"])))


@app.get("/neighbours")
def neighbours() -> str:
    """Members in the city of a member; vulnerable by what ``/move`` stored."""
    [(city,)] = rows(sa.select(MEMBER.c.city).where(MEMBER.c.id == int(flask.request.args["member"])))
    near = sa.text(f"city = '{city}'")
    return page(rows(sa.select(MEMBER.c.id, MEMBER.c.full_name).where(near).order_by(MEMBER.c.full_name).limit(20)))


if __name__ == "__main__":
    url, port = arguments()
    scheme, _, rest = url.partition("://")
    app.config["ENGINE"] = sa.create_engine(f"{DRIVERS.get(scheme, scheme)}://{rest}")
    serve(app, port)
