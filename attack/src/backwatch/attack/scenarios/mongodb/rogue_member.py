"""C3: a replica set member names the attacker's host as primary. The client sends it everything."""

from backwatch.attack.protocols.mongodb import SET
from backwatch.attack.techniques.mongodb import ExtendedSet, FollowsSet


class _Deposed(ExtendedSet):
    keeps_lead = False


class MongodbRogueMember(FollowsSet):
    """PyMongo follows a replica set to every host that its members name."""

    attack = "names a host that is no member as the primary, which is sent what is stored and asked"
    rule = "redirected"
    server = _Deposed
    captures = b"insert"

    def work(self) -> object:
        """Store a basket, and read it."""
        with self.open_client(replicaSet=SET) as client:
            baskets = client["shop"]["baskets"]
            baskets.insert_one({"_id": 7, "basket": "two apples"})
            return [str(document["basket"]) for document in baskets.find({"_id": 7})]
