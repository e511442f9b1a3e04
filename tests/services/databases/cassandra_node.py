"""Apache Cassandra, one node, from the jars that ``make test`` puts into ``.tools/cassandra``."""

import contextlib
import time
from collections.abc import Generator
from pathlib import Path

from tests.services.authority import Authority
from tests.services.process import ROOT, binary, free_port, password, private_folder, run_process, write
from tests.services.server import HOST, Fixture, MissingServerError, Server, accepts

JARS = ROOT / ".tools" / "cassandra"
TEMPLATES = Path(__file__).parents[1] / "cassandra"
USER = "app"
FIRST = "cassandra"
"""The account that a new node makes by itself, and its password."""
JAVA = (
    "-Xms256m", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dcassandra.ring_delay_ms=0",
    "-Dcassandra.superuser_setup_delay_ms=0", "-Dcassandra.skip_wait_for_gossip_to_settle=0",
    "-Dcassandra.unsafesystem=true", "-Dcassandra.auth_bcrypt_gensalt_log2_rounds=4", "-Djava.net.preferIPv4Stack=true",
)  # fmt: skip

FIXTURE = Fixture("cassandra_node", kind="cassandra", port=9042)


@contextlib.contextmanager
def serve(ca: Authority) -> Generator[Server]:
    """Run a separate node, plain and TLS on one port; the fixture ``cassandra_node`` is the shared one."""
    if not any(JARS.glob("cassandra-all-*.jar")):
        raise MissingServerError("cassandra: no jars in .tools/cassandra (`make test` fetches them with Maven), "
                                 "and BACKWATCH_TEST_CASSANDRA_URL is not set")  # fmt: skip
    java, port, secret = binary("cassandra", "java"), free_port(), password()
    with private_folder("cassandra") as folder:
        settings = write(folder / "cassandra.yaml", (TEMPLATES / "cassandra.yaml").read_text().format(
            host=HOST, port=port, storage=free_port(), folder=folder,
            keystore=write(folder / "keystore.pem", ca.issue().both),
            truststore=write(folder / "ca.pem", ca.ca_file.read_text()),
        ))  # fmt: skip
        command = [
            java, f"@{TEMPLATES / 'jvm.options'}", *JAVA, f"-Dcassandra.config=file://{settings}",
            f"-Dcassandra.storagedir={folder}", f"-Dlogback.configurationFile={TEMPLATES / 'logback.xml'}",
            f"-Djava.io.tmpdir={folder}", "-cp", f"{JARS}/*", "org.apache.cassandra.service.CassandraDaemon",
        ]  # fmt: skip
        with run_process(command, folder=folder, ready=accepts(port), timeout_s=300):
            _make_account(port, secret)
            yield Server(
                kind="cassandra", port=port, tls_port=port, user=USER, password=secret, ca_file=str(ca.ca_file),
                url=f"cassandra://{USER}:{secret}@{HOST}:{port}", tls_url=f"cassandra://{USER}:{secret}@{HOST}:{port}",
            )  # fmt: skip


def _make_account(port: int, secret: str) -> None:
    """Create the tests' role; the node creates its first role a moment after it listens."""
    # Imported here, because every run imports this file, and the driver loads eventlet if it is installed.
    from cassandra.auth import PlainTextAuthProvider
    from cassandra.cluster import Cluster, NoHostAvailable

    deadline = time.monotonic() + 60
    while True:
        login = PlainTextAuthProvider(FIRST, FIRST)
        cluster = Cluster(
            [HOST], port=port, auth_provider=login, connect_timeout=20, control_connection_timeout=20,
        )  # fmt: skip
        try:
            # The secret consists of digits and letters.
            command = f"CREATE ROLE {USER} WITH PASSWORD = '{secret}' AND LOGIN = true AND SUPERUSER = true"
            cluster.connect().execute(command, timeout=60)
        except NoHostAvailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return
        finally:
            cluster.shutdown()
