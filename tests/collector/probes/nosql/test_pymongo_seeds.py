"""pymongo and ``mongodb+srv://``: the members in DNS, from a name server of the tests."""

import socketserver
import threading
from collections.abc import Iterator

import pymongo
import pytest
from dns import message, rdatatype, resolver, rrset
from pymongo.errors import ConfigurationError, ServerSelectionTimeoutError

from backwatch.collector import names
from backwatch.collector.probes.pymongo import PyMongoProbe
from tests.collector.probes.recording import Recording
from tests.services.server import HOST

PROBES = (PyMongoProbe,)


class Names(socketserver.BaseRequestHandler):
    """SRV records of ``cluster.example.test``."""

    def handle(self) -> None:
        data, connection = self.request
        query = message.from_wire(data)
        answer = message.make_response(query)
        question = query.question[0]
        if question.rdtype == rdatatype.SRV:
            records = [f"0 0 {port} {host}.example.test." for host, port in (("a", 27017), ("b", 27018))]
            answer.answer.append(rrset.from_text(question.name, 60, "IN", "SRV", *records))
        connection.sendto(answer.to_wire(), self.client_address)


@pytest.fixture
def name_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with socketserver.ThreadingUDPServer((HOST, 0), Names) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        asks = resolver.Resolver(configure=False)
        asks.nameservers, asks.port = [HOST], server.server_address[1]
        monkeypatch.setattr(resolver, "default_resolver", asks)
        yield
        server.shutdown()
        thread.join()


def look_up(url: str, error: type[Exception]) -> None:
    """Expect that the members in DNS are unreachable or refused. When DNS is queried depends on the version."""
    with pytest.raises(error), pymongo.MongoClient(url, serverSelectionTimeoutMS=200, connectTimeoutMS=5_000) as client:
        client["shop"].command("ping")


@pytest.mark.usefixtures("name_server")
def test_a_seed_lookup_in_dns_is_a_call(recording: Recording) -> None:
    for _ in range(2):
        look_up("mongodb+srv://cluster.example.test", ServerSelectionTimeoutError)
    (call,) = recording.of("resolve")
    assert call.session.address == "cluster.example.test"
    assert call.facts[names.TOPOLOGY] == "a.example.test:27017,b.example.test:27018"


@pytest.mark.usefixtures("name_server")
def test_members_refused_by_the_driver_are_recorded(recording: Recording) -> None:
    look_up("mongodb+srv://cluster.other.example.test", ConfigurationError)
    (call,) = recording.of("resolve")
    assert type(call.error).__name__ == "ConfigurationError"
