"""OpenSearch, one node, from the jars that ``make test`` puts into ``.tools/opensearch``; TLS is ended before it."""

import contextlib
import shutil
import urllib.request
from collections.abc import Callable, Generator
from pathlib import Path

from tests.services.authority import Authority
from tests.services.http._search_front import front
from tests.services.process import ROOT, account, binary, free_port, give, password, private_folder, run_process, write
from tests.services.server import HOST, Fixture, MissingServerError, Server

JARS = ROOT / ".tools" / "opensearch"
TEMPLATES = Path(__file__).parents[1] / "opensearch"
USER = "app"
JAVA = (
    "-Xms400m", "-Xmx400m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Djava.security.manager=allow",
    "-Dopensearch.distribution.type=tar", "-Dopensearch.bundled_jdk=false", "-Djna.nosys=true",
    "-Dio.netty.noUnsafe=true", "-Dlog4j.shutdownHookEnabled=false",
)  # fmt: skip

FIXTURE = Fixture("opensearch", kind="opensearch", port=9200)


class _Shared:
    """One node for both fixtures that stand before one: started by the first, stopped by the last."""

    users = 0
    port = 0
    stack = contextlib.ExitStack()


@contextlib.contextmanager
def node() -> Generator[int]:
    """The port of the run's node, as it is: plain HTTP, open to all."""
    if not _Shared.users:
        _Shared.port = _Shared.stack.enter_context(_node())
    _Shared.users += 1
    try:
        yield _Shared.port
    finally:
        _Shared.users -= 1
        if not _Shared.users:
            _Shared.stack.close()


@contextlib.contextmanager
def _node() -> Generator[int]:
    if not any(JARS.glob("opensearch-2*.jar")):
        raise MissingServerError("opensearch: no jars in .tools/opensearch (`make test` fetches them with Maven), "
                                 "and BACKWATCH_TEST_OPENSEARCH_URL is not set")  # fmt: skip
    java, user, port = binary("opensearch", "java"), account("nobody"), free_port()
    with private_folder("opensearch", user) as folder:
        _lay_out(folder, port, user)
        paths = (f"-Dopensearch.path.home={folder}", f"-Dopensearch.path.conf={folder / 'config'}")
        temporary = (f"-Djava.io.tmpdir={folder / 'tmp'}", f"-Djna.tmpdir={folder / 'tmp'}")
        command = [java, *JAVA, *paths, *temporary, "-cp", f"{folder}/lib/*", "org.opensearch.bootstrap.OpenSearch"]
        with run_process(command, folder=folder, user=user, ready=_answers(port), timeout_s=150):
            yield port


def _lay_out(folder: Path, port: int, user: str | None) -> None:
    """The distribution's folders: the node refuses root, so its account gets its own copies."""
    module = folder / "modules" / "transport-netty4"
    for made in (folder / "config", folder / "data", folder / "logs", folder / "tmp", folder / "plugins",
                 folder / "lib", folder / "modules", module):  # fmt: skip
        made.mkdir()
        give(made, user)
    for jar in JARS.glob("*.jar"):
        within = module if jar.name.startswith(("transport-netty4", "netty-")) else folder / "lib"
        give(Path(shutil.copy(jar, within / jar.name)), user)
    for name in ("plugin-descriptor.properties", "plugin-security.policy"):
        write(module / name, (TEMPLATES / name).read_text(), user)
    write(folder / "config" / "log4j2.properties", (TEMPLATES / "log4j2.properties").read_text(), user)
    settings = (TEMPLATES / "opensearch.yml").read_text().format(port=port, transport=free_port(), folder=folder)
    write(folder / "config" / "opensearch.yml", settings, user)


def _answers(port: int) -> Callable[[], bool]:
    def ready() -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{HOST}:{port}/", timeout=2) as answer:
            return answer.status == 200
        return False

    return ready


@contextlib.contextmanager
def serve(ca: Authority) -> Generator[Server]:
    """A server of one's own; the fixture ``opensearch`` is the one that the whole run shares."""
    secret, certificate = password(), ca.issue()
    pair = str(certificate.certificate_file), str(certificate.key_file)
    with node() as port, front(port, USER, secret, elastic=False, certificate=pair) as tls_port:
        yield Server(
            kind="opensearch", port=port, tls_port=tls_port, user=USER, password=secret, ca_file=str(ca.ca_file),
            url=f"http://{HOST}:{port}", tls_url=f"https://{HOST}:{tls_port}",
        )  # fmt: skip
