"""G1 to G3: an attacker abuses a Redis through an app that forwards raw input. The server stays honest."""

from typing import ClassVar

from backwatch.attack.clients.redis import READ_BASKET, Command, Redis
from backwatch.attack.protocols.redis import RedisServer
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET, Run, Scenario


class RedisConsole(Scenario):
    """An app whose support page lets a visitor look up a basket, and forwards any command.

    Attributes:
        typed: Commands that the attacker types.
    """

    server = RedisServer
    stays_honest = True
    runs = (Run(Redis),)
    typed: ClassVar[tuple[Command, ...]]

    def work(self) -> object:
        """Look up a basket as a visitor."""
        return self.forward(("SET", "basket:7", "two apples"), READ_BASKET)

    def meet(self) -> object:
        """Send what the attacker types."""
        return self.forward(*self.typed)

    def forward(self, *commands: Command) -> list[str]:
        """Return the replies as the page shows them."""
        return [repr(reply) for reply in self.client.execute(*commands, password=SECRET)]

    @classmethod
    def has_succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether every command arrived."""
        del got
        return all(" ".join(map(str, command)).encode() in service.kept for command in cls.typed)
