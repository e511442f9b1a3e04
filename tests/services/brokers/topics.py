"""Topics of one test, and removal of the two fixed ones."""

import contextlib
import time
from collections.abc import Callable, Generator, Iterable

from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import TopicAlreadyExistsError, UnknownTopicOrPartitionError

from tests.services.server import Server


@contextlib.contextmanager
def admin(server: Server) -> Generator[KafkaAdminClient]:
    """Return a client for the broker's administration."""
    client = KafkaAdminClient(bootstrap_servers=server.bootstrap)
    try:
        yield client
    finally:
        client.close()


def create(server: Server, name: str, partitions: int) -> None:
    """Create a topic, and wait until the broker knows it."""
    with admin(server) as client:
        with contextlib.suppress(TopicAlreadyExistsError):
            client.create_topics([NewTopic(name, num_partitions=partitions, replication_factor=1,
                                           topic_configs={"message.timestamp.type": "LogAppendTime"})])  # fmt: skip
        _until(lambda: name in client.list_topics())


def delete(server: Server, names: Iterable[str]) -> None:
    """Delete topics if they exist, and wait until they are gone."""
    with admin(server) as client:
        doomed = [name for name in names if name in client.list_topics()]
        if doomed:
            with contextlib.suppress(UnknownTopicOrPartitionError):
                client.delete_topics(doomed)
            _until(lambda: not set(doomed) & set(client.list_topics()))


def _until(true: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError("the broker's topics did not change in time")
        time.sleep(0.02)


@contextlib.contextmanager
def create_on_demand(server: Server, prefix: str) -> Generator[Callable[..., str]]:
    """Yield ``make(name, partitions=1) -> topic``; delete all of them at the end."""
    made: list[str] = []

    def make(name: str = "topic", partitions: int = 1) -> str:
        made.append(prefix + name)
        create(server, made[-1], partitions)
        return made[-1]

    yield make
    delete(server, made)
