"""G1 to G3: an attacker abuses a Redis through an app that forwards raw input. The server stays honest."""

from typing import Any, ClassVar

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.redis import RedisServer
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET, Scenario

Commands = tuple[tuple[str, ...], ...]


class RedisConsole(Scenario):
    """An app whose support page lets a visitor look up a basket, and forwards any command.

    Attributes:
        server: Class of the server.
        typed: Commands that the attacker types.
    """

    driver = "redis"
    server = RedisServer
    typed: ClassVar[Commands]

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return the server, which records each command."""
        service = cls.server(authority)
        service.taken = service.kept.append
        return service

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """Leave the server honest. The attacker comes through the app."""
        service.kept.clear()

    def open_client(self) -> Any:
        """Return the library's client, over verified TLS."""
        import redis

        return redis.Redis(
            host="localhost", port=self.config.port, password=SECRET, ssl=True, ssl_ca_certs=self.config.ca_file,
            socket_timeout=5,
        )  # fmt: skip

    def hand_on(self, commands: Commands) -> list[str]:
        """Return the replies as the page shows them."""
        from contextlib import closing

        with closing(self.open_client()) as client:
            return [repr(client.execute_command(*command)) for command in commands]

    def work(self) -> None:
        """Look up a basket as a visitor."""
        self.hand_on((("SET", "basket:7", "two apples"), ("GET", "basket:7")))

    def meet(self) -> object:
        """Send what the attacker types."""
        return self.hand_on(self.typed)

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether every command arrived."""
        del got
        return all(" ".join(command).encode() in service.kept for command in cls.typed)
