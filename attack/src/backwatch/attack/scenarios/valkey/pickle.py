"""D3 on valkey: a cache of pickles returns one that runs a program."""

from typing import Any

from backwatch.attack.scenarios.redis.pickle import RedisPickle


class ValkeyPickle(RedisPickle):
    """The same app with Valkey's own client."""

    driver = "valkey"

    def open_client(self) -> Any:
        """Return the library's client, over verified TLS."""
        import valkey

        return valkey.Valkey(
            host="localhost", port=self.config.port, ssl=True, ssl_ca_certs=self.config.ca_file, socket_timeout=5
        )
