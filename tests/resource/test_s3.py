"""Object stores, attached through boto3: a real one, and the hostile ones of the attack pack."""

import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backwatch.attack.protocols.http import Request, Web, format_response
from backwatch.attack.protocols.server import SECRET
from backwatch.attack.scenarios.s3.pickle import ModelStore
from backwatch.attack.scenarios.s3.region_redirect import MovedBucket
from backwatch.resource import Resource, ResourceMisconfigured, ResourceUnsafe
from backwatch.resource.formats import find_code_format
from tests.resource.attaching import attach_url
from tests.resource.hostile import attach_hostile, serve_hostile
from tests.services.server import Server

URL = "s3+https://AKIAEXAMPLE:SECRET@localhost:PORT/shop?region=eu-central-1"


def fetch(resource: Resource) -> Any:
    return resource.client().get_object(Bucket="shop", Key="baskets/7")["Body"].read()


@pytest.mark.services("aws")
@pytest.mark.parametrize(
    "form", ["s3+https://{login}@localhost:{port}/{bucket}", "s3://{login}@{bucket}?endpoint=https://localhost:{port}"]
)
def test_objects_are_stored_and_read(aws: Server, form: str) -> None:
    bucket = f"resource-{len(form)}"
    url = form.format(login=f"{aws.user}:{aws.password}", port=aws.tls_port, bucket=bucket)
    resource = attach_url(url, ca=aws.ca_file)
    client = resource.client()
    client.create_bucket(Bucket=bucket)
    client.put_object(Bucket=bucket, Key="basket", Body=b"two apples" * 1000)
    assert client.get_object(Bucket=bucket, Key="basket")["Body"].read() == b"two apples" * 1000
    assert b"".join(client.get_object(Bucket=bucket, Key="basket")["Body"]) == b"two apples" * 1000
    assert [each["Key"] for each in client.list_objects_v2(Bucket=bucket)["Contents"]] == ["basket"]
    with pytest.raises(client.exceptions.NoSuchKey):
        client.get_object(Bucket=bucket, Key="none")
    with pytest.raises(ResourceUnsafe) as caught:
        attach_url(url, ca=aws.ca_file, max_reply_bytes=9_999).client().get_object(Bucket=bucket, Key="basket")
    assert caught.value.check == "max_reply_bytes"


@pytest.mark.services("aws")
def test_foreign_authority_and_plaintext_are_refused(aws: Server) -> None:
    with pytest.raises(ResourceUnsafe, match="certificate") as caught:
        fetch(attach_url(f"s3+https://a:b@localhost:{aws.tls_port}/shop"))
    assert caught.value.check == "tls"
    with pytest.raises(ResourceUnsafe, match="http://"):
        attach_url(f"s3+http://a:b@localhost:{aws.port}/shop").client()


@pytest.mark.services("aws")
def test_observing_finds_plaintext(aws: Server) -> None:
    resource = attach_url(f"s3+http://{aws.user}:x@localhost:{aws.port}/shop", mode="observe")
    resource.client().list_buckets()
    assert {finding.check for finding in resource.findings} == {"tls"}


def test_redirect_to_another_endpoint_is_refused(tmp_path: Path) -> None:
    with serve_hostile(MovedBucket, tmp_path) as server, pytest.raises(ResourceUnsafe) as caught:
        fetch(attach_hostile(server, URL))
    assert caught.value.check == "hosts"
    assert server.elsewhere.kept == []


def test_object_that_runs_code_is_refused(tmp_path: Path) -> None:
    with serve_hostile(ModelStore, tmp_path) as server:
        with pytest.raises(ResourceUnsafe) as caught:
            fetch(attach_hostile(server, URL))
        assert caught.value.check == "formats"
        assert fetch(attach_hostile(server, URL, formats=["pickle"]))


def test_honest_store_of_the_pack_is_accepted(tmp_path: Path) -> None:
    with serve_hostile(ModelStore, tmp_path, hostile=False) as server:
        assert pickle.loads(fetch(attach_hostile(server, URL))) == {"price": 9.9}


class Flooding(Web):
    """Sends a long object without announcing its length."""

    def answer(self, request: Request) -> bytes:
        del request
        return b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + bytes(4 << 20)

    def reply(self, session: Any, request: Request) -> None:
        super().reply(session, request)
        raise EOFError


def test_object_without_length_is_bounded(tmp_path: Path) -> None:
    with serve_hostile(Flooding, tmp_path) as server, pytest.raises(ResourceUnsafe) as caught:
        fetch(attach_hostile(server, URL, max_reply_bytes=1 << 20))
    assert caught.value.check == "max_reply_bytes"


class Erring(Web):
    """Refuses every request with a text."""

    def answer(self, request: Request) -> bytes:
        del request
        return format_response(b"<Error><Code>AccessDenied</Code></Error>", status=b"403 Forbidden")


def test_refusal_of_the_store_stays_the_drivers_error(tmp_path: Path) -> None:
    from botocore.exceptions import ClientError

    with serve_hostile(Erring, tmp_path) as server, pytest.raises(ClientError, match="AccessDenied"):
        fetch(attach_hostile(server, URL))


def test_bare_driver_hands_out_the_object_that_runs_code(tmp_path: Path) -> None:
    import boto3

    with serve_hostile(ModelStore, tmp_path) as server:
        client = boto3.client(
            "s3", endpoint_url=f"https://localhost:{server.port}", verify=str(server.authority.ca_file),
            region_name="eu-central-1", aws_access_key_id="AKIAEXAMPLE", aws_secret_access_key=SECRET,
        )  # fmt: skip
        assert find_code_format(client.get_object(Bucket="shop", Key="baskets/7")["Body"].read()) == "pickle"


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("s3://shop", "region"), ("s3://shop?region=evil.example/", "region"), ("s3+https://localhost", "bucket"),
        ("s3://shop?endpoint=file:///etc", "endpoint"), ("s3+https://localhost/a/b", "bucket"),
    ],
)  # fmt: skip
def test_url_without_bucket_or_place_is_an_error(url: str, named: str) -> None:
    with pytest.raises(ResourceMisconfigured, match=named):
        attach_url(url)


@given(st.text(max_size=40), st.sampled_from(["s3", "s3+https", "s3+http"]))
def test_any_url_names_a_bucket_or_is_an_error(rest: str, scheme: str) -> None:
    try:
        located = attach_url(f"{scheme}://{rest}")._attachment.url
    except ResourceMisconfigured:
        return
    assert located.path
    assert "/" not in located.path


def test_read_only_resource_stores_nothing(tmp_path: Path) -> None:
    with serve_hostile(ModelStore, tmp_path, hostile=False) as server, pytest.raises(ResourceUnsafe) as caught:
        attach_hostile(server, URL, read_only=True).client().put_object(Bucket="shop", Key="basket", Body=b"apples")
    assert caught.value.check == "read_only"


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-central-1", "s3.eu-central-1.amazonaws.com"), ("us-east-1", "s3.us-east-1.amazonaws.com"),
        ("cn-north-1", "s3.cn-north-1.amazonaws.com.cn"),
    ],
)  # fmt: skip
def test_region_names_the_host_that_the_driver_asks(region: str, host: str) -> None:
    resource = attach_url(f"s3://AKIAEXAMPLE:secret@shop?region={region}")
    assert resource._attachment.url.hosts == ((host, None),)
    url = resource.client().generate_presigned_url("get_object", Params={"Bucket": "shop", "Key": "basket"})
    assert url.startswith(f"https://{host}/shop/basket?")
