"""Object stores that speak S3: where a bucket is, as the URL names it."""

from dataclasses import replace
from typing import ClassVar
from urllib.parse import urlsplit

from backwatch.resource.errors import ResourceMisconfigured
from backwatch.resource.plain_text import shorten
from backwatch.resource.systems import Driver
from backwatch.resource.url import ServiceUrl


class S3Driver(Driver):
    """``s3://BUCKET?region=…``, with ``endpoint=https://host`` for another store, or ``s3+https://host/BUCKET``.

    User and password of the URL are the access key; without them the library looks for one as always. Buckets are
    addressed by name in the store's path.
    """

    system: ClassVar = "s3"
    schemes: ClassVar = ("s3",)
    variants: ClassVar = ("https", "http")
    default_port: ClassVar = 443
    cannot: ClassVar = {
        "min_version": "stores announce no version", "max_rows": "objects are no rows; max_reply_bytes limits them",
    }  # fmt: skip

    def locate(self, name: str, url: ServiceUrl) -> ServiceUrl:
        """Return the URL with the store's host in the place of the bucket, and the bucket as path.

        Raises:
            ResourceMisconfigured: It names no bucket, or neither region nor endpoint.
        """
        if url.driver in self.variants:
            located, bucket = url, url.path
        else:
            located, bucket = self._locate_bucket(name, url), url.host
        if not bucket or "/" in bucket:
            raise ResourceMisconfigured(f"{name}: the URL must name one bucket: s3://BUCKET or s3+https://host/BUCKET")
        return replace(located, path=bucket)

    def _locate_bucket(self, name: str, url: ServiceUrl) -> ServiceUrl:
        if endpoint := url.query.get("endpoint"):
            try:
                parts = urlsplit(endpoint)
                scheme, host, port = parts.scheme, parts.hostname, parts.port
            except ValueError:
                scheme, host, port = "", None, None
            if scheme not in self.variants or not host:
                raise ResourceMisconfigured(f"{name}: endpoint = {shorten(endpoint)!r} is no URL of a store")
            return replace(url, driver=scheme, hosts=((host, port),))
        region = url.query.get("region", "")
        if not region.replace("-", "").isalnum():
            raise ResourceMisconfigured(f"{name}: the URL of a bucket needs ?region=… (or ?endpoint=https://…)")
        suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        return replace(url, driver="", hosts=((f"s3.{region}.{suffix}", None),))
