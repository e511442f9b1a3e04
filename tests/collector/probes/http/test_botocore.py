"""botocore: one call per attempt, with facts of both botocore and urllib3."""

import contextlib
import gc
import http.server
import threading
from collections.abc import Generator, Iterator
from typing import Any

import boto3
import pytest
import requests
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from backwatch.collector import names
from backwatch.collector.probes.botocore import BotocoreProbe
from backwatch.collector.probes.urllib3 import Urllib3Probe
from backwatch.collector.runtime.record import CONSUMER, PRODUCER
from tests.collector.probes.recording import Recording, watching
from tests.contract.exercises.botocore import PICKLE, REGION, client
from tests.services.server import Server

PROBES = (BotocoreProbe,)
SECRET = "canary-in-the-mine"


@pytest.fixture
def bucket(aws: Server, request: pytest.FixtureRequest) -> str:
    name = f"b{abs(hash(request.node.name))}"
    client(aws, "s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    return name


@contextlib.contextmanager
def serve_response(status: int, headers: dict[str, str], body: bytes) -> Generator[str]:
    """A server with one response for every request."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class names it
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def test_an_attempt_is_one_call_with_both_layers_facts(aws: Server, bucket: str, recording: Recording) -> None:
    with watching(Urllib3Probe, recording):
        client(aws, "s3").put_object(Bucket=bucket, Key=SECRET, Body=b"x" * 20_000)
    connect, put = recording.calls
    session = put.session
    assert (connect.operation, put.operation) == ("connect", "PutObject")
    assert put.statement == f"PutObject {bucket} (Body,Key)"
    assert (session.system, session.namespace, session.account) == ("s3", bucket, aws.user)
    assert (session.auth_method, session.encrypted, session.verified) == ("aws4-hmac-sha256", True, "full")
    assert (connect.session.system, connect.session.namespace) == ("s3", bucket)
    assert 20_000 < put.sent < 22_000
    assert put.rows_affected == 1
    assert SECRET not in repr(recording.calls)
    assert aws.password not in repr(recording.calls)


@pytest.mark.parametrize("first", [BotocoreProbe, Urllib3Probe])
def test_no_call_is_recorded_twice_in_either_order_of_probes(aws: Server, bucket: str, first: Any) -> None:
    other = Urllib3Probe if first is BotocoreProbe else BotocoreProbe
    with watching(first) as recording, watching(other, recording):
        client(aws, "s3").list_objects_v2(Bucket=bucket)
        requests.get(f"{aws.url}/moto-api/data.json", timeout=20)
    assert [one.operation for one in recording.calls] == ["connect", "ListObjectsV2", "connect", "GET"]


def test_without_urllib3s_own_probe_only_api_calls_are_recorded(aws: Server, bucket: str, recording: Recording) -> None:
    client(aws, "s3").list_objects_v2(Bucket=bucket)
    requests.get(f"{aws.url}/moto-api/data.json", timeout=20)
    assert [one.operation for one in recording.calls] == ["connect", "ListObjectsV2"]


def test_a_streamed_object_is_recorded_when_it_has_been_read(aws: Server, bucket: str, recording: Recording) -> None:
    s3 = client(aws, "s3")
    s3.put_object(Bucket=bucket, Key="big", Body=b"y" * 300_000)
    recording.calls.clear()
    body = s3.get_object(Bucket=bucket, Key="big")["Body"]
    assert recording.of("GetObject") == []
    while body.read(10_000):
        pass
    (recorded,) = recording.of("GetObject")
    assert 300_000 < recorded.received < 304_000


def test_a_streamed_object_that_is_never_read_is_recorded_too(aws: Server, bucket: str, recording: Recording) -> None:
    s3 = client(aws, "s3")
    s3.put_object(Bucket=bucket, Key="big", Body=b"y" * 300_000)
    body = s3.get_object(Bucket=bucket, Key="big")["Body"]
    body.close()
    assert len(recording.of("GetObject")) == 1
    s3.get_object(Bucket=bucket, Key="big")
    gc.collect()
    assert len(recording.of("GetObject")) == 2


@pytest.mark.parametrize("size", [None, 8])
def test_a_pickle_among_the_objects_is_recognised_as_it_is_read(
    aws: Server, bucket: str, recording: Recording, size: int | None
) -> None:
    s3 = client(aws, "s3")
    s3.put_object(Bucket=bucket, Key="model", Body=PICKLE)
    body = s3.get_object(Bucket=bucket, Key="model")["Body"]
    while body.read(size):
        pass
    (recorded,) = recording.of("GetObject")
    assert recorded.facts[names.PAYLOAD_FORMAT] == "pickle"


def test_a_transfer_in_threads_is_recorded(aws: Server, bucket: str, recording: Recording, tmp_path: Any) -> None:
    session = boto3.Session(aws_access_key_id=aws.user, aws_secret_access_key=aws.password, region_name=REGION)
    s3 = session.client(
        "s3", endpoint_url=aws.tls_url, verify=aws.ca_file, config=Config(s3={"addressing_style": "path"})
    )
    source = tmp_path / "source"
    source.write_bytes(b"z" * 200_000)
    s3.upload_file(str(source), bucket, "copy")
    s3.download_file(bucket, "copy", str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()
    assert recording.of("PutObject")[0].sent > 200_000
    assert recording.of("GetObject")[0].received > 200_000


def test_a_presigned_url_is_no_call_and_its_use_hides_the_signature(
    aws: Server, bucket: str, recording: Recording
) -> None:
    s3 = client(aws, "s3")
    s3.put_object(Bucket=bucket, Key="big", Body=b"y")
    recording.calls.clear()
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "big"})
    assert recording.calls == []
    with watching(Urllib3Probe, recording):
        assert requests.get(url, verify=aws.ca_file, timeout=20).content == b"y"
    assert [one.operation for one in recording.calls] == ["connect", "GET"]
    assert "Signature" not in repr(recording.calls)


def test_messages_are_counted_and_their_format_is_recognised(recording: Recording, aws: Server) -> None:
    sqs = client(aws, "sqs")
    url = sqs.create_queue(QueueName="jobs")["QueueUrl"]
    body = "gASVGAAAAAAAAACMAm9zlIwGc3lzdGVtlJOUjAJpZJSFlFKULg=="
    sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": "a", "MessageBody": body}, {"Id": "b", "MessageBody": "x"}])
    sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    (sent,), (got, none) = recording.of("SendMessageBatch"), recording.of("ReceiveMessage")
    assert (sent.session.system, sent.session.namespace) == ("aws_sqs", "123456789012")
    assert sent.facts[names.MESSAGING_DESTINATION] == "jobs"
    assert (sent.rows_affected, got.rows_returned, none.rows_returned) == (2, 2, 0)
    assert got.facts[names.PAYLOAD_FORMAT] == "pickle"
    assert PRODUCER != CONSUMER


def test_dynamodb_statements_have_tables_and_expressions_without_values(recording: Recording, aws: Server) -> None:
    dynamodb = client(aws, "dynamodb")
    dynamodb.create_table(
        TableName="people", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )  # fmt: skip
    dynamodb.batch_write_item(
        RequestItems={"people": [{"PutRequest": {"Item": {"id": {"S": f"{SECRET}{n}"}}}} for n in range(3)]}
    )
    dynamodb.scan(
        TableName="people", FilterExpression="#i <> :x", ExpressionAttributeNames={"#i": "id"},
        ExpressionAttributeValues={":x": {"S": SECRET}},
    )  # fmt: skip
    dynamodb.execute_statement(Statement=f"SELECT id FROM people WHERE id = '{SECRET}'")
    written, scanned, partiql = recording.calls[-5], recording.calls[-3], recording.calls[-1]
    assert (written.operation, written.rows_affected) == ("BatchWriteItem", 3)
    assert written.statement == "BatchWriteItem people (RequestItems)"
    assert "FilterExpression=id <> ?" in scanned.statement
    assert scanned.rows_returned == 3
    assert (partiql.session.system, partiql.session.namespace) == ("aws.dynamodb", REGION)
    assert str(partiql.sql).startswith("SELECT id FROM people")
    assert not any(SECRET in one.statement for one in recording.calls)


def test_anonymous_and_unverified_calls_are_reported(recording: Recording, aws: Server) -> None:
    open_client = client(aws, "s3", config=Config(signature_version=UNSIGNED), verify=False)
    with pytest.warns(), contextlib.suppress(ClientError):
        open_client.list_buckets()
    session = recording.of("ListBuckets")[0].session
    assert (session.account, session.auth_method) == ("", "anonymous")
    assert (session.requested, session.verified) == ("require", "none")


@pytest.mark.parametrize(
    ("status", "headers", "body", "recorded"),
    [
        (307, {"Location": "http://evil.example/photos?x=1"}, b"", "http://evil.example/photos"),
        (
            301, {},
            b"<Error><Code>PermanentRedirect</Code><Endpoint>photos.s3.eu-central-1.amazonaws.com</Endpoint></Error>",
            "photos.s3.eu-central-1.amazonaws.com",
        ),
    ],
)  # fmt: skip
def test_the_target_of_an_s3_redirect_is_reported(
    recording: Recording, aws: Server, status: int, headers: dict[str, str], body: bytes, recorded: str
) -> None:
    with serve_response(status, headers, body) as url, pytest.raises(ClientError):
        client(aws, "s3", tls=False, endpoint_url=url).get_object(Bucket="photos", Key="x")
    assert recording.of("GetObject")[0].facts[names.REDIRECT_TARGET] == recorded


def test_each_retry_is_an_attempt(recording: Recording, aws: Server) -> None:
    with serve_response(503, {}, b"<Error><Code>SlowDown</Code></Error>") as url, pytest.raises(ClientError):
        client(aws, "s3", tls=False, endpoint_url=url).get_object(Bucket="photos", Key="x")
    assert [one.error for one in recording.of("GetObject")] == ["SlowDown", "SlowDown"]


def test_an_response_given_in_the_services_place_is_no_call(recording: Recording, aws: Server) -> None:
    s3 = client(aws, "s3")
    bare = client(aws, "s3").list_buckets

    def instead(request: Any, **_: Any) -> Any:
        from botocore.awsrequest import AWSResponse

        class Raw:
            def stream(self) -> Iterator[bytes]:
                yield b"<ListAllMyBucketsResult/>"

        return AWSResponse(request.url, 200, {}, Raw())

    s3.meta.events.register("before-send.s3.ListBuckets", instead)
    assert s3.list_buckets()["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert recording.calls == []
    bare()
    assert len(recording.of("ListBuckets")) == 1


def test_a_bucket_in_the_host_name_is_the_namespace(recording: Recording, aws: Server) -> None:
    config = Config(s3={"addressing_style": "virtual"}, retries={"max_attempts": 0}, connect_timeout=2)
    s3 = client(aws, "s3", tls=False, endpoint_url=f"http://localhost:{aws.port}", config=config)
    with contextlib.suppress(Exception):  # the name of the bucket's host may not resolve here
        s3.list_objects_v2(Bucket="photos")
    session = recording.calls[0].session
    assert (session.address, session.namespace) == ("localhost", "photos")


def test_a_default_endpoint_is_no_choice_of_the_apps() -> None:
    from backwatch.collector.probes.botocore.observer import _session_facts

    class Request:
        url = "https://photos.s3.dualstack.eu-west-1.amazonaws.com/key"
        headers: dict[str, str] = {}  # noqa: RUF012

    assert _session_facts(Request, "s3", "photos") == {
        "system": "s3", "namespace": "photos", "address": "s3.dualstack.eu-west-1.amazonaws.com", "account": "",
        "auth_method": "anonymous", "requested_explicit": False,
    }  # fmt: skip
