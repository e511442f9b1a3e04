"""A shop on S3."""

import sys

import boto3


def main(url: str) -> None:
    """Run every operation once."""
    client = boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="shop", aws_secret_access_key="x"
    )
    client.create_bucket(Bucket="photos")
    client.put_object(Bucket="photos", Key="a/1.jpg", Body=b"x")
    client.get_object(Bucket="photos", Key="a/1.jpg")
    client.head_object(Bucket="photos", Key="a/1.jpg")
    client.list_objects_v2(Bucket="photos")
    client.list_buckets()


if __name__ == "__main__":
    main(sys.argv[1])
