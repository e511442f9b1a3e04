"""D11 on redis: a visitor reads basket after basket, and so an unused canary basket."""

from collections.abc import Mapping
from typing import ClassVar

from backwatch.attack.protocols.redis import RedisServer, Talk, bulk
from backwatch.attack.techniques.redis_console import RedisConsole

CANARY = "nobody.7f3a@shop.example"
PLANTED = "basket:99"


class PlantedBasket(RedisServer):
    """Holds the operator's basket from the start."""

    def answer(self, verb: bytes, command: list[bytes], talk: Talk) -> bytes:
        """Respond as before, with the canary basket included."""
        if verb == b"GET" and command[1:] == [PLANTED.encode()]:
            return bulk(b'{"mail": "%s", "goods": []}' % CANARY.encode())
        return super().answer(verb, command, talk)


class RedisCanary(RedisConsole):
    """The app's support page again. The attacker types only ordinary commands."""

    code = "D11"
    attack = "reads one basket after the other, among them one that was planted"
    reference = "https://attack.mitre.org/techniques/T1530/; Acra's poison records"
    rule = "canary-returned"
    server = PlantedBasket
    settings: ClassVar[Mapping[str, str]] = {"BACKWATCH_CANARIES": CANARY}
    typed = (("GET", "basket:97"), ("GET", "basket:98"), ("GET", PLANTED))
