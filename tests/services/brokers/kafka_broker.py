"""Apache Kafka, one broker in KRaft mode, from the jars that ``make test`` puts into ``.tools/kafka``."""

import base64
import contextlib
import secrets
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from tests.services.authority import Authority
from tests.services.process import ROOT, binary, free_port, password, prepare, private_folder, run_process, write
from tests.services.server import HOST, Fixture, MissingServerError, Server, accepts

JARS = ROOT / ".tools" / "kafka"
TEMPLATE = Path(__file__).parents[1] / "kafka" / "server.properties"
USER = "app"


# Two cores: the first compiler alone starts twice as fast, and no broker of a test lives long enough to need the other.
JAVA = ("-Xmx400m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{JARS}/*")

FIXTURE = Fixture("kafka", kind="kafka", port=9092)


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker that is installed and can be started, stopped, and started again on the same data."""

    server: Server
    data: Path
    _command: tuple[str, ...]

    @contextlib.contextmanager
    def run(self, stop: str = "KILL", grace_s: float = 3) -> Generator[None]:
        """Keep it running inside the block; the signal ``stop`` ends it, and after ``grace_s`` it is killed."""
        ready = accepts(self.server.port)
        with (
            private_folder("kafka-log") as folder,
            run_process(self._command, folder=folder, ready=ready, stop=stop, grace_s=grace_s),
        ):
            yield


@contextlib.contextmanager
def serve(ca: Authority) -> Generator[Server]:
    """Run a separate broker; the fixture ``kafka`` is the shared one of the whole run."""
    with install(ca) as broker:
        folder, ready = broker.data.parent, accepts(broker.server.port)
        with run_process(broker._command, folder=folder, ready=ready):  # pyright: ignore[reportPrivateUsage]
            yield broker.server


@contextlib.contextmanager
def install(ca: Authority) -> Generator[Broker]:
    """Prepare a broker with its own data, which are deleted at the end."""
    if not any(JARS.glob("kafka_2.13-*.jar")):
        raise MissingServerError("kafka: no jars in .tools/kafka (`make test` fetches them with Maven), "
                                 "and BACKWATCH_TEST_KAFKA_URL is not set")  # fmt: skip
    run = [binary("kafka", "java"), *JAVA]
    port, tls_port, sasl_port, secret = free_port(), free_port(), free_port(), password()
    with private_folder("kafka") as folder:
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
        yield Broker(server, folder / "data", (*run, "kafka.Kafka", str(properties)))


def _cluster_id() -> str:
    """Return 22 characters of URL-safe base64; the first one must not look like an option."""
    return "A" + base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")[1:]
