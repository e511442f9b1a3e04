"""A1 on pymongo: the app attaches a second MongoDB without ``tls=True``."""

from backwatch.attack.protocols.mongodb import MongoDB
from backwatch.attack.techniques.second import AttachesInClear, InClear


class _Both(InClear, MongoDB):
    pass


class MongodbSecond(AttachesInClear):
    """pymongo uses TLS only if asked to."""

    attack = "is attached in plaintext beside another one, so that who is on the way reads what is kept in it"
    driver = "pymongo"
    rule = "plaintext-session"
    service_class = _Both
    said = b"two apples"

    def visit(self, host: str, *, careful: bool) -> object:
        """Store a basket, and read it."""
        from typing import Any

        import pymongo

        more: dict[str, Any] = {"tls": True, "tlsCAFile": self.config.ca_file} if careful else {}
        with pymongo.MongoClient[dict[str, Any]](
            host, self.config.port, directConnection=True, serverSelectionTimeoutMS=5000, connectTimeoutMS=5000,
            socketTimeoutMS=5000, **more,
        ) as client:  # fmt: skip
            baskets = client["shop"]["baskets"]
            baskets.insert_one({"_id": 7, "basket": "two apples"})
            return repr(baskets.find_one({"_id": 7}))
