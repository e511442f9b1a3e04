"""G12: all indices are deleted by one call."""

from contextlib import closing

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.search import AbusedSearch


class ElasticsearchAllDeleted(AbusedSearch):
    """In an app whose account may do everything."""

    attack = "deletes everything that can be searched for"
    reference = (
        "https://www.elastic.co/guide/en/elasticsearch/reference/current/indices-delete-index.html; ATT&CK T1485"
    )
    rule = "data-destroyed"

    def meet(self) -> object:
        """The attacker deletes."""
        with closing(self.open_client()) as client:
            return client.indices.delete(index="_all")["acknowledged"]

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The server says that it is done."""
        return got is True and any(one.startswith(b"DELETE /_all") for one in service.kept)
