"""AWS: only operations, resources and names leave the process; never a key, a value or a signature."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backwatch.collector.redaction import aws
from tests.services.cpu_time import least_cpu_s

SECRET = "qX7canary9Zk"
names = st.sampled_from(["Key", "Body", "Item", "Prefix", "MessageBody", "ExpressionAttributeValues", "Filter"])
values = st.recursive(
    st.just(SECRET) | st.just(SECRET.encode()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["S", "B", "a"]), inner, max_size=3),
)


@given(
    st.sampled_from(["s3", "sqs", "dynamodb", "sns", "secretsmanager"]),
    st.dictionaries(names | st.sampled_from(["RequestItems", "TransactItems", "QueueUrl"]), values, max_size=6),
)
def test_no_value_of_a_parameter_is_reported(service: str, parameters: dict[str, Any]) -> None:
    parameters.pop("QueueUrl", None) if parameters.get("QueueUrl") == SECRET else None
    redacted = aws.to_statement(service, "Operation", {k: v for k, v in parameters.items() if k != "RequestItems"})
    assert SECRET not in redacted


@given(st.text(max_size=60), st.sampled_from(["'{}'", "x = '{}'", ":a AND b = '{}'", "SET a = '{}' -- x"]))
def test_a_literal_in_an_expression_is_not_reported(noise: str, shape: str) -> None:
    redacted = aws.redact_expression(shape.format(SECRET) + noise.replace("'", ""), {})
    assert SECRET not in redacted


@given(st.text(max_size=2_000))
def test_any_expression_is_taken(text: str) -> None:
    assert len(aws.redact_expression(text, {"#a": text})) < 10_000


@given(st.dictionaries(st.text(max_size=30), st.text(max_size=30) | st.integers() | st.none(), max_size=60), st.text())
def test_any_parameters_are_taken(parameters: dict[str, Any], operation: str) -> None:
    for service in ("s3", "sqs", "dynamodb", "sns"):
        assert isinstance(aws.to_statement(service, operation, parameters), str)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            f"AWS4-HMAC-SHA256 Credential=AKIAX/20260101/eu-west-1/s3/aws4_request, Signature={SECRET}",
            ("AKIAX", "aws4-hmac-sha256"),
        ),
        (f"AWS4-ECDSA-P256-SHA256 Credential=ASIAX/2026/s3, Signature={SECRET}", ("ASIAX", "aws4-ecdsa-p256-sha256")),
        (f"AWS AKIAX:{SECRET}", ("AKIAX", "aws2-hmac-sha1")),
        (f"Bearer {SECRET}", ("", "bearer")),
        (f"{SECRET} {SECRET}", ("", "")),
        (SECRET, ("", "")),
        ("", ("", "anonymous")),
    ],
)  # fmt: skip
def test_the_signing_key_is_reported_without_the_signature(header: str, expected: tuple[str, str]) -> None:
    assert aws.read_login({"Authorization": header.encode()}, "https://x/") == expected
    assert aws.read_login({"Authorization": header}, "https://x/") == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"X-Amz-Algorithm=AWS4-HMAC&X-Amz-Credential=AKIAX%2F1&X-Amz-Signature={SECRET}", ("AKIAX", "aws4-hmac")),
        (f"AWSAccessKeyId=AKIAX&Signature={SECRET}&Expires=1", ("AKIAX", "aws2-hmac-sha1")),
        (f"prefix={SECRET}", ("", "anonymous")),
    ],
)  # fmt: skip
def test_a_signature_in_the_query_counts(query: str, expected: tuple[str, str]) -> None:
    assert aws.read_login({}, f"https://photos.s3.amazonaws.com/x?{query}") == expected


@pytest.mark.parametrize("text", ["#" * 65_536, ":" * 65_536, "a AND " * 11_000, "'" * 65_536, "(" * 65_536])
def test_a_hostile_expression_costs_little(text: str) -> None:
    assert least_cpu_s(lambda: aws.redact_expression(text, {"#": "x"})) < 0.03


def test_a_queue_of_another_account_is_reported_with_the_account() -> None:
    url = "https://sqs.eu-west-1.amazonaws.com/999999999999/orders.fifo"
    assert aws.parse_queue({"QueueUrl": url}) == ("999999999999", "orders.fifo")
    assert aws.parse_queue({"QueueUrl": "http://[broken"}) == ("", "?")
    assert aws.parse_queue({}) == ("", "")
