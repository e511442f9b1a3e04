"""A8 on redis: ``ssl_min_version`` and ``ssl_ciphers`` for an old server allow TLS 1.1 permanently."""

import ssl

from backwatch.attack.clients.redis import Redis
from backwatch.attack.protocols.redis import RedisServer
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.old_tls import CIPHERS, OldTls


class RedisOldTls(OldTls):
    """redis-py passes both to its context; chain and name are checked."""

    option = 'ssl_min_version=TLSVersion.TLSv1_1, ssl_ciphers="DEFAULT@SECLEVEL=0"'
    server = RedisServer
    runs = (Run(Redis),)

    def work(self) -> object:
        """Store a basket, and read it, over TLS of any version."""
        return self.client.visit(ssl_min_version=ssl.TLSVersion.TLSv1_1, ssl_ciphers=CIPHERS)
