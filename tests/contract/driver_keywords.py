"""Known keyword arguments of driver callables that accept any keyword."""

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any


def signature_of(*of: Any) -> set[str]:
    """Return the parameter names of several callables."""
    return {name for one in of for name in inspect.signature(one).parameters}


def _mysql_connector() -> Collection[str]:
    from mysql.connector.constants import DEFAULT_CONFIGURATION

    return DEFAULT_CONFIGURATION


def _libpq() -> Collection[str]:
    from psycopg.pq import Conninfo

    return {one.keyword.decode() for one in Conninfo.get_defaults()}


def _psycopg2() -> Collection[str]:
    import psycopg2.extensions

    class Known(set[str]):
        def __contains__(self, name: object) -> bool:
            psycopg2.extensions.parse_dsn(f"{name}=1")  # raises where its libpq does not know it
            return True

    return Known()


def _clickhouse_driver() -> Collection[str]:
    from clickhouse_driver.connection import Connection

    return signature_of(Connection)


def _clickhouse_connect() -> Collection[str]:
    from clickhouse_connect.driver.httpclient import HttpClient

    return signature_of(HttpClient)


def _pymongo() -> Collection[str]:
    from pymongo import common

    class Known(set[str]):
        def __contains__(self, name: object) -> bool:
            return str(name).lower() in common.VALIDATORS

    return Known()


def _opensearch() -> Collection[str]:
    from opensearchpy import Connection, Transport, Urllib3HttpConnection

    return signature_of(Transport, Urllib3HttpConnection, Connection)


def _kafka_producer() -> Collection[str]:
    from kafka import KafkaProducer

    return KafkaProducer.DEFAULT_CONFIG


def _kafka_consumer() -> Collection[str]:
    from kafka import KafkaConsumer

    return KafkaConsumer.DEFAULT_CONFIG


def _aio_pika() -> Collection[str]:
    from aio_pika.robust_connection import RobustConnection

    return {one.name for one in RobustConnection.PARAMETERS}


def _nats() -> Collection[str]:
    from nats.aio.client import Client

    return signature_of(Client.connect)


def _requests() -> Collection[str]:
    import requests

    return signature_of(requests.Session.request)


def _urllib3() -> Collection[str]:
    from urllib3.connection import HTTPSConnection
    from urllib3.connectionpool import HTTPSConnectionPool

    return signature_of(HTTPSConnectionPool, HTTPSConnection)


def _urllib3_request() -> Collection[str]:
    from urllib3.connectionpool import HTTPSConnectionPool
    from urllib3.response import HTTPResponse

    return signature_of(HTTPSConnectionPool.urlopen, HTTPResponse)


def _aiohttp() -> Collection[str]:
    from aiohttp import ClientSession

    return signature_of(ClientSession._request)


def _boto3() -> Collection[str]:
    import boto3

    return signature_of(boto3.Session.client)


def _botocore() -> Collection[str]:
    from botocore.config import Config

    return Config.OPTION_DEFAULTS


def _celery() -> Collection[str]:
    from celery import Celery
    from celery.app.defaults import DEFAULTS

    assert Celery("x", accept_content=["json"]).conf.accept_content == ["json"]
    return DEFAULTS


OPEN: Mapping[str, Callable[[], Collection[str]]] = {
    "psycopg.connect": _libpq, "psycopg2.connect": _psycopg2, "mysql.connector.connect": _mysql_connector,
    "clickhouse_driver.Client": _clickhouse_driver, "clickhouse_connect.get_client": _clickhouse_connect,
    "pymongo.MongoClient": _pymongo, "opensearchpy.OpenSearch": _opensearch, "kafka.KafkaProducer": _kafka_producer,
    "kafka.KafkaConsumer": _kafka_consumer, "aio_pika.connect_robust": _aio_pika, "nats.connect": _nats,
    "requests.get": _requests, "urllib3.PoolManager": _urllib3, "urllib3.PoolManager().request": _urllib3_request,
    "aiohttp.ClientSession().get": _aiohttp, "boto3.client": _boto3, "botocore.config.Config": _botocore,
    "celery.Celery": _celery, "sqlalchemy.create_engine": lambda: {"connect_args"},
}  # fmt: skip
"""Callables that take any keyword, and who knows which ones mean something."""
