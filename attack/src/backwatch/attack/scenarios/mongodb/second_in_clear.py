"""A1 on pymongo: the app attaches a second MongoDB without ``tls=True``."""

from backwatch.attack.techniques.mongodb import MongoApp
from backwatch.attack.techniques.second import AttachesInClear


class MongodbSecond(AttachesInClear, MongoApp):
    """pymongo uses TLS only if asked to."""

    attack = "is attached in plaintext beside another one, so that who is on the way reads what is kept in it"
    rule = "plaintext-session"
    confidential = b"two apples"

    def visit(self, host: str, *, careful: bool) -> object:
        """Store a basket, and read it."""
        with self.open_client(host, in_clear=not careful, directConnection=True) as client:
            baskets = client["shop"]["baskets"]
            baskets.insert_one({"_id": 7, "basket": "two apples"})
            return repr(baskets.find_one({"_id": 7}))
