"""Typical calls of an app that uses boto3: objects, queues, tables, another service; over verified TLS and without."""

import functools
import pickle
import secrets
from collections.abc import Callable
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.collector.probes.http.web import shared
from tests.services.server import Server

SERVICES = ("aws", "ca")
REGION = "eu-west-1"


class Evil:
    """A payload that must never be loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, ("1",)


PICKLE = b"!" + pickle.dumps(Evil())


@functools.cache
def _session() -> botocore.session.Session:
    """A session for all tests: it creates the exception classes."""
    return botocore.session.Session(session_vars={"config_file": (None, None, None, None)})


def client(server: Server, service: str, *, tls: bool = True, **options: Any) -> Any:
    """Return a client of botocore itself, as boto3's are; it reads no setting of the machine."""
    config = Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}).merge(options.pop("config", Config()))
    options = {"verify": server.ca_file, **options} if tls else options
    url = options.pop("endpoint_url", server.tls_url if tls else server.url)
    return _session().create_client(
        service, region_name=REGION, endpoint_url=url, config=config, aws_access_key_id=server.user,
        aws_secret_access_key=server.password, **options,
    )  # fmt: skip


def calls(services: dict[str, Any]) -> list[object]:
    server: Server = services["aws"]
    seen: list[object] = []
    for tls in (False, True):
        _objects(client(server, "s3", tls=tls), seen)
        _messages(client(server, "sqs", tls=tls), seen)
        _items(client(server, "dynamodb", tls=tls), seen)
    try:
        client(server, "s3", tls=False, endpoint_url=shared(services["ca"]).url).get_object(Bucket="redirect", Key="x")
    except ClientError as error:
        seen.append(error.response["Error"]["Code"])
    seen.append(len(client(server, "sts").get_caller_identity()["Account"]))
    return seen


def _objects(s3: Any, seen: list[object]) -> None:
    bucket = f"photos-{secrets.token_hex(6)}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket=bucket, Key="ann/1.jpg", Body=b"x" * 50_000)
    s3.put_object(Bucket=bucket, Key="ann/2.pickle", Body=PICKLE)
    s3.put_object(Bucket=bucket, Key="around", Body=b"", WebsiteRedirectLocation="http://169.254.169.254/latest/")
    seen.append(len(s3.get_object(Bucket=bucket, Key="ann/1.jpg")["Body"].read()))
    seen.append(s3.get_object(Bucket=bucket, Key="ann/2.pickle")["Body"].read() == PICKLE)
    seen.append([one["Size"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]])
    seen.append(len(s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "ann/1.jpg"}]})["Deleted"]))
    try:
        s3.get_object(Bucket=bucket, Key="missing")
    except s3.exceptions.NoSuchKey as error:
        seen.append(error.response["Error"]["Code"])


def _messages(sqs: Any, seen: list[object]) -> None:
    url = sqs.create_queue(QueueName=f"orders-{secrets.token_hex(6)}")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="one")
    entries = [{"Id": "a", "MessageBody": "two"}, {"Id": "b", "MessageBody": "three"}]
    seen.append(len(sqs.send_message_batch(QueueUrl=url, Entries=entries)["Successful"]))
    got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    seen.append(sorted(one["Body"] for one in got))


def _items(dynamodb: Any, seen: list[object]) -> None:
    table = f"users-{secrets.token_hex(6)}"
    dynamodb.create_table(
        TableName=table, BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )  # fmt: skip
    dynamodb.put_item(TableName=table, Item={"id": {"S": "ann"}, "blob": {"B": PICKLE}})
    query = {
        "KeyConditionExpression": "#i = :who", "ExpressionAttributeNames": {"#i": "id"},
        "ExpressionAttributeValues": {":who": {"S": "ann"}},
    }  # fmt: skip
    seen.append(dynamodb.query(TableName=table, **query)["Count"])
    seen.append(dynamodb.execute_statement(Statement=f"SELECT * FROM \"{table}\" WHERE id = 'ann'")["Items"])


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    server: Server = services["aws"]
    once = Config(retries={"max_attempts": 0}, connect_timeout=5, read_timeout=20)
    return [
        lambda: client(server, "s3").get_object(Bucket="never-made", Key="x"),
        lambda: client(server, "s3", verify=True, config=once).list_buckets(),
        lambda: client(server, "s3", endpoint_url="http://127.0.0.1:1", config=once).list_buckets(),
        lambda: client(server, "s3").get_object(Bucket="no Key"),
        lambda: client(server, "dynamodb").get_item(TableName="none", Key={"id": {"S": "x"}}),
    ]
