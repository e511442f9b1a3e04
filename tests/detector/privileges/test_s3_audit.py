"""The audit of an S3 policy document."""

import json
from pathlib import Path

import pytest

from tests.detector.privileges.recording import audit, record
from tests.services.server import Server

WIDE = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
        {"Effect": "Allow", "Action": ["s3:PutBucketPolicy", "s3:GetObject"], "Resource": "arn:aws:s3:::photos/*"},
    ],
}


def test_the_policy_allows_exactly_what_was_seen(aws: Server, tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_text(json.dumps(WIDE))
    stream = record("s3_app", aws.url, tmp_path)

    code, output = audit(stream, f"s3://photos?policy={tmp_path / 'policy.json'}")

    assert code == 3
    assert "critical: s3:* on *" in output
    assert "s3:PutBucketPolicy on resource" in output
    policy = json.loads("\n".join(line for line in output.splitlines() if not line.startswith("#")))
    assert {(statement["Action"], statement["Resource"]) for statement in policy["Statement"]} == {
        ("s3:CreateBucket", "arn:aws:s3:::photos"),
        ("s3:PutObject", "arn:aws:s3:::photos/*"),
        ("s3:GetObject", "arn:aws:s3:::photos/*"),
        ("s3:ListBucket", "arn:aws:s3:::photos"),
    }
    (tmp_path / "policy.json").write_text(json.dumps(policy))
    assert audit(stream, f"s3://photos?policy={tmp_path / 'policy.json'}")[0] == 0


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"Statement": 3}', "[" * 100_000, '{"Statement": []}'])
def test_what_is_no_policy_is_a_wrong_argument(text: str, tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_text(text)

    code, output = audit(
        {"BACKWATCH_STREAM_URL": f"sqlite:///{tmp_path / 's.db'}"}, f"s3://?policy={tmp_path / 'policy.json'}"
    )

    assert (code, output.count("\n")) == (2, 1), output
