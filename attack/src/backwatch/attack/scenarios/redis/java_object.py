"""D3 on redis-py and valkey: a cache of JSON returns a serialised Java object, which its other readers would run."""

from backwatch.attack.clients.redis import READ_BASKET, Redis, Valkey
from backwatch.attack.protocols.redis import RedisServer, Talk, bulk
from backwatch.attack.scenarios import Run, Scenario

BASKET = b'{"goods": ["two apples"]}'
OBJECT = (
    b"\xac\xed\x00\x05sr\x00\x11java.util.HashMap\x05\x07\xda\xc1\xc3\x16\x60\xd1\x03\x00\x02F\x00\nloadFactorI\x00\tthreshold"
    b"xp"
)
"""The beginning of a HashMap, with which most known chains of Java classes begin; no chain follows."""


class SwappedBasket(RedisServer):
    """Returns a basket as JSON; once hostile, a Java object."""

    def answer(self, verb: bytes, command: list[bytes], talk: Talk) -> bytes:
        """Return the basket or the object."""
        if verb != b"GET":
            return super().answer(verb, command, talk)
        return bulk(OBJECT if self.hostile else BASKET)


class RedisJavaObject(Scenario):
    """The app and services in Java share a cache of JSON documents."""

    code = "D3"
    attack = "returns a serialised Java object where a JSON document was stored"
    reference = "https://github.com/frohoff/ysoserial; ATT&CK T1203"
    notices = "an error of its parser"
    rule = "unusual-payload-code"
    server = SwappedBasket
    runs = (Run(Redis), Run(Valkey))

    def work(self) -> object:
        """Read a basket."""
        return self.client.execute(READ_BASKET)[0].decode("latin-1")

    @classmethod
    def has_succeeded(cls, service: object, got: object) -> bool:
        """Return whether the app got the object."""
        del service
        return "java.util.HashMap" in str(got)
