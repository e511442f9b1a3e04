"""Apache Kafka, one broker in KRaft mode, from the jars that ``make test`` puts into ``.tools/kafka``."""

import base64
import contextlib
import secrets
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.services.authority import Authority
from tests.services.process import binary, free_port, password, prepare, private_folder, running, write
from tests.services.server import HOST, Fixture, MissingServerError, Server, accepts

JARS = Path(__file__).parents[2] / ".tools" / "kafka"
TEMPLATE = Path(__file__).parent / "kafka" / "server.properties"
USER = "app"


# Two cores: the first compiler alone starts twice as fast, and no broker of a test lives long enough to miss the other.
JAVA = ("-Xmx400m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{JARS}/*")

FIXTURE = Fixture("kafka", kind="kafka", port=9092)


@contextlib.contextmanager
def serve(ca: Authority) -> Generator[Server]:
    """A broker of one's own; the fixture ``kafka`` is the one that the whole run shares."""
    with _started(ca, remove=True) as broker:
        yield broker.server


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker that can be stopped and started again on its ports and its log."""

    server: Server
    _command: Sequence[str]
    _folder: Path
    _stack: contextlib.ExitStack
    _remove: bool

    def start(self, stop: str = "KILL", grace_s: float = 3) -> None:
        """Start it; ``stop`` is the signal that ends it later, and ``grace_s`` the time it then has to leave."""
        self._stack.enter_context(
            running(self._command, folder=self._folder, ready=accepts(self.server.port), stop=stop, grace_s=grace_s,
                    remove=self._remove)
        )  # fmt: skip

    def stop(self) -> None:
        """Stop it by the signal that it was started with."""
        self._stack.close()


@contextlib.contextmanager
def serve_restartable(ca: Authority) -> Generator[Broker]:
    """A broker of one's own, running, that can be restarted inside the block."""
    with _started(ca, remove=False) as broker:
        yield broker


@contextlib.contextmanager
def _started(ca: Authority, *, remove: bool) -> Generator[Broker]:
    if not any(JARS.glob("kafka_2.13-*.jar")):
        raise MissingServerError("kafka: no jars in .tools/kafka (`make test` fetches them with Maven), "
                                 "and BACKWATCH_TEST_KAFKA_URL is not set")  # fmt: skip
    run = [binary("kafka", "java"), *JAVA]
    port, tls_port, sasl_port, secret = free_port(), free_port(), free_port(), password()
    with private_folder("kafka") as folder, contextlib.ExitStack() as stack:
        properties = write(folder / "server.properties", TEMPLATE.read_text().format(
            port=port, tls=tls_port, sasl=sasl_port, controller=free_port(), folder=folder, user=USER, password=secret,
            keystore=write(folder / "keystore.pem", ca.issue().both),
            truststore=write(folder / "ca.pem", ca.ca_file.read_text()),
        ))  # fmt: skip
        account = f"SCRAM-SHA-256=[name={USER},password={secret}]"
        prepare([*run, "kafka.tools.StorageTool", "format", "-t", _cluster_id(), "-c", str(properties), "--standalone",
                 "--add-scram", account], folder)  # fmt: skip
        server = Server(
            kind="kafka", port=port, tls_port=tls_port, sasl_port=sasl_port, user=USER, password=secret,
            ca_file=str(ca.ca_file), url=f"kafka://{HOST}:{port}", tls_url=f"kafka://{HOST}:{tls_port}",
        )  # fmt: skip
        broker = Broker(server, [*run, "kafka.Kafka", str(properties)], folder, stack, remove)
        broker.start()
        yield broker


def _cluster_id() -> str:
    """22 characters of URL-safe base64; the first one must not look like an option."""
    return "A" + base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")[1:]
