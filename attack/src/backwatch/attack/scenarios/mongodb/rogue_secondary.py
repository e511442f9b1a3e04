"""C3: a replica set's primary names the attacker's host as a member. The client reads from it."""

import time

from backwatch.attack.protocols.mongodb import SET
from backwatch.attack.techniques.mongodb import FollowsSet


class MongodbRogueSecondary(FollowsSet):
    """PyMongo may read from any secondary."""

    attack = "names a host that is no member as a secondary, which answers what the app reads"
    rule = "topology-changed"
    option = "readPreference=secondaryPreferred"
    captures = b"find"

    def work(self) -> object:
        """Read a basket a few times, so that the set becomes known."""
        with self.open_client(replicaSet=SET, readPreference="secondaryPreferred") as client:
            found: list[str] = []
            for _ in range(3):
                found += [str(document["basket"]) for document in client["shop"]["baskets"].find({"_id": 7})]
                time.sleep(0.3)
            return found
