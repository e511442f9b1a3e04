"""D11 on redis: a basket that nobody has lies among the others, and a visitor reads one after the other."""

from collections.abc import Mapping
from typing import ClassVar

from backwatch.attack.demo.services.redis import bulk
from backwatch.attack.protocols.redis import RedisServer, Talk
from backwatch.attack.techniques.redis_console import RedisConsole

CANARY = "nobody.7f3a@shop.example"
PLANTED = "basket:99"


class Planted(RedisServer):
    """The owner's basket is in it before anybody comes."""

    def answer(self, verb: bytes, command: list[bytes], talk: Talk) -> bytes:
        """As ever, and that."""
        if verb == b"GET" and command[1:] == [PLANTED.encode()]:
            return bulk(b'{"mail": "%s", "goods": []}' % CANARY.encode())
        return super().answer(verb, command, talk)


class RedisCanary(RedisConsole):
    """The app's page of support again; what is typed there is what is typed every day."""

    code = "D11"
    attack = "reads one basket after the other, among them one that was planted"
    reference = "https://attack.mitre.org/techniques/T1530/; Acra's poison records"
    rule = "canary-returned"
    server = Planted
    settings: ClassVar[Mapping[str, str]] = {"BACKWATCH_CANARIES": CANARY}
    typed = (("GET", "basket:97"), ("GET", "basket:98"), ("GET", PLANTED))
