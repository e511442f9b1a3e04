"""C1 on redis, in a client that knows of no cluster: it is told to go elsewhere, and refuses."""

from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET, Scenario
from backwatch.attack.techniques.redis_moved import Leading


class RedisMoved(Scenario):
    """The plain client raises; what was tried must be told all the same."""

    code = "C1"
    attack = "answers with MOVED to a host that nobody knows"
    reference = "https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/; ATT&CK T1557"
    driver = "redis"
    notices = "an exception"
    rule = "redirected"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """It leads elsewhere."""
        return Leading(authority)

    def open_client(self) -> Any:
        """Of the library, over verified TLS."""
        import redis

        return redis.Redis(
            host="localhost", port=self.config.port, password=SECRET, ssl=True, ssl_ca_certs=self.config.ca_file,
            socket_timeout=5,
        )  # fmt: skip

    def work(self) -> None:
        """Keeps a basket, and reads it."""
        self.meet()

    def meet(self) -> object:
        """The same."""
        from contextlib import closing

        with closing(self.open_client()) as client:
            client.set("basket:7", "two apples", ex=60)
            return client.get("basket:7").decode()

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The other host was sent the password."""
        del got
        assert isinstance(service, Leading)
        return any(SECRET.encode() in said for said in service.elsewhere.kept)
