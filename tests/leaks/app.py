"""An app that sends planned calls through real drivers, for any replies of the servers."""

import asyncio
import contextlib
import http.client
import json
import logging
import smtplib
import sqlite3
import sys
import urllib.request
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pika
import psycopg
import psycopg2
import pymysql
import redis
import requests
import urllib3

Server = dict[str, Any]
ANYTHING = contextlib.suppress(Exception)


def over_psycopg(server: Server, texts: list[str]) -> None:
    with psycopg.connect(server["url"]) as connection:
        for text in texts:
            with ANYTHING:
                connection.execute(text)  # type: ignore[arg-type]
            connection.rollback()
            with ANYTHING:
                connection.execute("SELECT %s::text, %s::int", (text, text))
            connection.rollback()
        with ANYTHING:
            quoted = texts[0].replace("'", "''")
            connection.execute(f"COPY (SELECT '{quoted}'::text) TO PROGRAM 'cat > /dev/null'".encode())


def over_psycopg2(server: Server, texts: list[str]) -> None:
    with contextlib.closing(psycopg2.connect(server["url"])) as connection, connection.cursor() as cursor:
        for text in texts:
            with ANYTHING:
                cursor.execute(text)
            connection.rollback()
            with ANYTHING:
                cursor.execute("SELECT %s::int", (text,))
            connection.rollback()


def over_asyncpg(server: Server, texts: list[str]) -> None:
    async def all_of_them() -> None:
        connection = await asyncpg.connect(server["url"])
        for text in texts:
            with ANYTHING:
                async with connection.transaction():
                    await connection.fetch(text)
                    raise ValueError(text)
            with ANYTHING:
                await connection.fetch("SELECT $1::text::int", text)
        await connection.close()

    asyncio.run(all_of_them())


def over_pymysql(server: Server, texts: list[str]) -> None:
    login: dict[str, Any] = {"host": server["host"], "port": server["port"], "user": server["user"]}
    with contextlib.closing(pymysql.connect(**login, password=server["password"])) as connection:
        for text in texts:
            with ANYTHING, connection.cursor() as cursor:
                cursor.execute(text)
            with ANYTHING, connection.cursor() as cursor:
                cursor.execute("SELECT extractvalue(1, concat('~', %s))", (text,))
    with ANYTHING:
        pymysql.connect(**login, password=texts[0])


def over_sqlite3(_server: Server, texts: list[str]) -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE t (a TEXT UNIQUE)")
        for text in texts:
            with ANYTHING:
                connection.execute(text).fetchall()
            with ANYTHING:
                connection.executemany("INSERT INTO t VALUES (?)", [(text,), (text,)])


def over_redis(server: Server, commands: list[list[str]]) -> None:
    with redis.Redis.from_url(server["url"], db=9, socket_timeout=5) as client:
        for command in commands:
            with ANYTHING:
                client.execute_command(*command)
            with ANYTHING:
                piped: Any = client.pipeline()
                piped.execute_command(*command)
                piped.get("a")
                piped.execute()
        client.flushdb()
    with ANYTHING:
        redis.Redis(host=server["host"], port=server["port"], password=" ".join(commands[0])).ping()


def over_http(server: Server, asked: list[list[str]]) -> None:
    def by_hand(url: str, headers: dict[str, str]) -> None:
        connection = http.client.HTTPConnection(server["host"], server["port"], timeout=5)
        connection.request("GET", url.partition("://")[2].partition("/")[2].join(["/", ""]), headers=headers)
        connection.getresponse().read()
        connection.close()

    ways: list[Any] = [
        by_hand,
        lambda url, headers: urllib3.request("GET", url, headers=headers, redirect=False, retries=False, timeout=5),
        lambda url, headers: requests.get(url, headers=headers, allow_redirects=False, timeout=5),
        lambda url, headers: httpx.post(url, headers=headers, content=url, timeout=5),
        lambda url, headers: urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5),  # noqa: S310
    ]
    for number, (url, header, value) in enumerate(asked):
        for way in (ways[number % 5], ways[(number + 1) % 5]):
            with ANYTHING:
                way(url, {header: value} if header else {})


def over_smtplib(server: Server, lines: list[str]) -> None:
    with smtplib.SMTP(server["host"], server["port"], timeout=5) as client:
        for line in lines:
            with ANYTHING:
                client.docmd(line)
            with ANYTHING:
                client.sendmail(f"{line[-9:]}@shop.example", ["ann@shop.example"], f"Subject: {line}\r\n\r\n{line}")
        with ANYTHING:
            client.login("app", lines[0])


def over_pika(server: Server, messages: list[list[str]]) -> None:
    login = pika.PlainCredentials(server["user"], server["password"])
    with contextlib.closing(
        pika.BlockingConnection(pika.ConnectionParameters(server["host"], server["port"], credentials=login))
    ) as connection:
        for key, text in messages:
            with ANYTHING:
                channel = connection.channel()
                channel.queue_declare(key, exclusive=True, auto_delete=True)
                channel.basic_publish("", key, text.encode(), pika.BasicProperties(headers={"x": text}, type=text[:99]))
                channel.basic_get(key, auto_ack=True)
            with ANYTHING:
                connection.channel().queue_declare(key + "-none", passive=True)


def main() -> None:
    handler = logging.StreamHandler(sys.stdout)
    logging.getLogger("backwatch").addHandler(handler)
    logging.getLogger("backwatch").setLevel(logging.DEBUG)
    for driver, server, what in json.loads(Path(sys.argv[1]).read_text()):
        globals()[f"over_{driver}"](server, what)


main()
