"""C1 on redis, in a client without cluster support: it refuses a redirect to another node."""

from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET, Scenario
from backwatch.attack.techniques.redis_moved import Leading


class RedisMoved(Scenario):
    """The plain client raises. The attempt must raise an alert all the same."""

    code = "C1"
    attack = "answers with MOVED to a host that nobody knows"
    reference = "https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/; ATT&CK T1557"
    driver = "redis"
    notices = "an exception"
    rule = "redirected"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return a server that leads its clients elsewhere."""
        return Leading(authority)

    def open_client(self) -> Any:
        """Return the library's client, over verified TLS."""
        import redis

        return redis.Redis(
            host="localhost", port=self.config.port, password=SECRET, ssl=True, ssl_ca_certs=self.config.ca_file,
            socket_timeout=5,
        )  # fmt: skip

    def work(self) -> None:
        """Store a basket, and read it."""
        self.meet()

    def meet(self) -> object:
        """Repeat the work once the server is hostile."""
        from contextlib import closing

        with closing(self.open_client()) as client:
            client.set("basket:7", "two apples", ex=60)
            return client.get("basket:7").decode()

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the other host received the password."""
        del got
        assert isinstance(service, Leading)
        return any(SECRET.encode() in command for command in service.elsewhere.kept)
