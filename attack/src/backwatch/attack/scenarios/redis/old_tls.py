"""A8 on redis: ``ssl_min_version`` and ``ssl_ciphers`` for an old server allow TLS 1.1 permanently."""

from typing import Any

from backwatch.attack.protocols.redis import RedisServer
from backwatch.attack.scenarios import SECRET
from backwatch.attack.scenarios.redis.moved import RedisMoved
from backwatch.attack.techniques.old_tls import CIPHERS, OldTls


class RedisOldTls(OldTls, RedisMoved):
    """redis-py passes both to its context; chain and name are checked."""

    option = 'ssl_min_version=TLSVersion.TLSv1_1, ssl_ciphers="DEFAULT@SECLEVEL=0"'
    server = RedisServer

    def open_client(self) -> Any:
        """Return the library's client, over verified TLS of any version."""
        import ssl

        import redis

        return redis.Redis(
            host="localhost", port=self.config.port, password=SECRET, ssl=True, ssl_ca_certs=self.config.ca_file,
            ssl_min_version=ssl.TLSVersion.TLSv1_1, ssl_ciphers=CIPHERS, socket_timeout=5,
        )  # fmt: skip
