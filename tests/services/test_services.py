"""Each server of the tests is the real product, speaks TLS under the run's authority, and goes away with the run."""

import os
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest
import redis
from kafka import KafkaConsumer, KafkaProducer

from tests.services.authority import Authority
from tests.services.databases.postgresql import CLEARTEXT_USER
from tests.services.internet.smtp import MailServer
from tests.services.process import ROOT
from tests.services.server import Server, accepts, from_environment, to_environment


def tls_handshake(server: Server, port: int, ca_file: str = "") -> str:
    context = ssl.create_default_context(cafile=ca_file or server.ca_file)
    with (
        socket.create_connection((server.host, port), timeout=10) as bare,
        context.wrap_socket(bare, server_hostname="localhost") as safe,
    ):
        return str(safe.version())


def test_kafka_carries_messages_in_plaintext_over_tls_and_after_login(
    kafka: Server, kafka_topic: Callable[..., str]
) -> None:
    topic = kafka_topic("round")
    login = {"sasl_plain_username": kafka.user, "sasl_plain_password": kafka.password, "ssl_cafile": kafka.ca_file}
    ways: list[tuple[int, dict[str, Any]]] = [
        (kafka.port, {}),
        (kafka.tls_port, {"security_protocol": "SSL", "ssl_cafile": kafka.ca_file}),
        (kafka.sasl_port, {"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-256", **login}),
        (kafka.sasl_port, {"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", **login}),
    ]
    for port, options in ways:
        producer = KafkaProducer(bootstrap_servers=f"{kafka.host}:{port}", **options)
        producer.send(topic, b"hello").get(timeout=20)
        producer.close()
    consumer = KafkaConsumer(
        topic, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=10_000
    )
    assert [next(consumer).value for _ in ways] == [b"hello"] * 4
    consumer.close()


def test_postgresql_offers_scram_in_plaintext_over_tls_and_socket(postgresql: Server) -> None:
    for url, encrypted in ((f"{postgresql.url}?sslmode=disable", False), (postgresql.tls_url, True)):
        with psycopg.connect(url) as connection:
            row = connection.execute("select ssl from pg_stat_ssl where pid = pg_backend_pid()").fetchone()
            assert row == (encrypted,)
    with psycopg.connect(
        host=postgresql.socket,
        port=postgresql.port,
        user=postgresql.user,
        password=postgresql.password,
        dbname="postgres",
    ) as connection:
        assert connection.info.host == postgresql.socket
    with psycopg.connect(postgresql.url, user=CLEARTEXT_USER) as connection:
        assert connection.info.user == CLEARTEXT_USER
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(postgresql.url, password="wrong")


def test_each_test_has_a_postgresql_database_of_its_own(postgresql_database: str) -> None:
    with psycopg.connect(postgresql_database) as connection:
        assert connection.execute("select count(*) from pg_stat_user_tables").fetchone() == (0,)


def test_mariadb_speaks_in_the_clear_and_over_verified_tls(mariadb: Server, mariadb_database: str) -> None:
    name = mariadb_database.rpartition("/")[2]
    common: dict[str, Any] = {
        "host": mariadb.host,
        "port": mariadb.port,
        "user": mariadb.user,
        "password": mariadb.password,
        "database": name,
    }
    over_tls: dict[str, Any] = {"ssl_ca": mariadb.ca_file, "ssl_verify_cert": True}
    ways: list[tuple[dict[str, Any], bool]] = [({"ssl_disabled": True}, False), (over_tls, True)]
    for options, encrypted in ways:
        with pymysql.connect(**common, **options) as connection, connection.cursor() as cursor:
            cursor.execute("show session status like 'Ssl_cipher'")
            row = cursor.fetchone()
            assert row is not None
            assert bool(row[1]) is encrypted


def test_redis_speaks_in_the_clear_over_tls_and_on_its_socket(redis_server: Server, redis_prefix: str) -> None:
    redis.Redis.from_url(redis_server.url).set(redis_prefix + "key", "value")
    assert redis.Redis.from_url(redis_server.tls_url).get(redis_prefix + "key") == b"value"
    assert redis.Redis(unix_socket_path=redis_server.socket).acl_whoami() == "default"
    assert redis.Redis.from_url(redis_server.url).acl_whoami() == redis_server.user


def test_rabbitmq_speaks_amqp_in_the_clear_and_over_tls(rabbitmq: Server) -> None:
    with socket.create_connection((rabbitmq.host, rabbitmq.port), timeout=10) as connection:
        connection.sendall(b"AMQP\x00\x00\x09\x01")
        assert b"RabbitMQ" in connection.recv(4096)
    assert tls_handshake(rabbitmq, rabbitmq.tls_port).startswith("TLSv1")


def test_memcached_speaks_in_the_clear_and_over_tls(memcached: Server) -> None:
    with socket.create_connection((memcached.host, memcached.port), timeout=10) as connection:
        connection.sendall(b"version\r\n")
        assert connection.recv(100).startswith(b"VERSION 1.")
    assert tls_handshake(memcached, memcached.tls_port).startswith("TLSv1")


def test_mail_is_taken_after_starttls_over_tls_and_without_any(smtp_server: MailServer) -> None:
    context = ssl.create_default_context(cafile=smtp_server.ca_file)
    recipient = "three-ways@example.org"
    with smtplib.SMTP(smtp_server.host, smtp_server.port) as client:
        client.starttls(context=context)
        client.login(smtp_server.user, smtp_server.password)
        client.sendmail("a@example.org", [recipient], "Subject: 1\r\n\r\n")
    with smtplib.SMTP_SSL("localhost", smtp_server.tls_port, context=context) as client:
        client.sendmail("a@example.org", [recipient], "Subject: 2\r\n\r\n")
    with smtplib.SMTP(smtp_server.host, smtp_server.plain_port) as client:
        client.ehlo()
        assert not client.has_extn("starttls")
        client.sendmail("a@example.org", [recipient], "Subject: 3\r\n\r\n")
    assert sum(recipient in mail.recipients for mail in smtp_server.received) == 3


def test_a_certificate_of_another_authority_is_refused(redis_server: Server, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, name="Another authority")
    with pytest.raises(ssl.SSLCertVerificationError):
        tls_handshake(redis_server, redis_server.tls_port, str(stranger.ca_file))


def test_a_server_ends_and_leaves_no_folder_when_the_tests_are_killed(tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        import pathlib, time
        from tests.services.databases import redis
        from tests.services.authority import Authority
        with redis.serve(Authority(pathlib.Path({str(tmp_path)!r}))) as server:
            print(server.port, pathlib.Path(server.socket).parent, flush=True)
            time.sleep(60)
    """)
    tests = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert tests.stdout is not None
    port, folder = tests.stdout.readline().split()
    assert accepts(int(port))()
    os.kill(tests.pid, signal.SIGKILL)
    tests.communicate()
    deadline = time.monotonic() + 10
    while (accepts(int(port))() or Path(folder).exists()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not accepts(int(port))()
    assert not Path(folder).exists()


def test_a_server_named_by_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "BACKWATCH_TEST_REDIS_URL", "redis://app:p%40ss@cache.example:7000/0?tls_port=7001&ca_file=/ca.pem"
    )
    named = from_environment("redis", 6379)
    assert named is not None
    assert (named.host, named.port, named.tls_port, named.password, named.ca_file) == (
        "cache.example",
        7000,
        7001,
        "p@ss",
        "/ca.pem",
    )
    assert named.url == "redis://app:p%40ss@cache.example:7000/0"


def test_server_handed_to_another_process_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "mongodb://app:p%40ss@127.0.0.1:7001/shop?replicaSet=rs0"
    server = Server(
        kind="mongo_set", port=7000, tls_port=7002, user="app", password="p@ss&", url=url, tls_url=f"{url}&tls=1"
    )
    for name, value in to_environment(server).items():
        monkeypatch.setenv(name, value)
    assert from_environment("mongo_set", 1) == server
