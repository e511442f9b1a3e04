"""The demo's setup: services, learning data, detector, shop, dashboard."""

import shutil
import sys
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from importlib.resources import as_file, files
from pathlib import Path

from backwatch.attack import history
from backwatch.attack.authority import Authority
from backwatch.attack.demo.attacks import Services
from backwatch.attack.demo.demo import Demo
from backwatch.attack.demo.services.http import HTTP
from backwatch.attack.demo.services.mysql import MySQL
from backwatch.attack.demo.services.postgresql import PostgreSQL
from backwatch.attack.demo.services.redis import DemoRedis
from backwatch.attack.demo.services.smtp import SMTP
from backwatch.attack.demo.show import Show
from backwatch.attack.environment import Child, ComponentError, Environment, clean_environment, free_port, is_listening
from backwatch.collector.settings import StreamSettings
from backwatch.store.connect import open_store
from backwatch.store.migrate import upgrade

ROUNDS = 30
"""Rounds of the shop for its history."""


@contextmanager
def open_demo(show: Show) -> Generator[tuple[Demo, str]]:
    """Set up a private folder, and yield the demo and the dashboard's address. Clean up at the end.

    Raises:
        ComponentError: A component did not start.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="backwatch-demo-")))
        services, ca_file = _start_services(stack, folder)
        stream, port = StreamSettings(url=f"sqlite:///{folder / 'stream.db'}", partitions=1), free_port()
        store_url = f"sqlite:///{folder / 'store.db'}"
        settings = {
            "BACKWATCH_STREAM_URL": stream.url, "BACKWATCH_STREAM_PARTITIONS": "1", "BACKWATCH_STORE_URL": store_url,
            "BACKWATCH_DASHBOARD_PORT": str(port), "BACKWATCH_DETECTOR_COMMIT_INTERVAL_S": "0.2",
        }  # fmt: skip
        store = open_store(store_url)
        stack.callback(store.dispose)
        upgrade(store)
        environment = stack.enter_context(Environment(folder, clean_environment() | settings))
        show.step(
            "five services on loopback, a shop that uses them over verified TLS, detector and dashboard: starting"
        )
        environment.start("detector", ("detect",))
        environment.start("dashboard", ("dashboard",))
        shop = _Shop(environment, folder, services, ca_file)
        calls, last_ns = shop.history(stream)
        show.step(f"what is normal is learnt from {calls:,} calls of the last {history.HOURS * 60:.0f} minutes")
        live_shop = shop.live()
        environment.wait_for("the dashboard listens", lambda: is_listening("127.0.0.1", port))
        show.step(f"dashboard: http://127.0.0.1:{port}")
        yield Demo(environment, services, store, show, live_shop, last_ns), f"http://127.0.0.1:{port}"


def _start_services(stack: ExitStack, folder: Path) -> tuple[Services, Path]:
    authority = Authority(folder / "authority")
    mysql, postgresql, smtp = MySQL(authority), PostgreSQL(authority), SMTP(authority)
    services = Services(mysql=mysql, postgresql=postgresql, smtp=smtp, redis=DemoRedis(authority), http=HTTP(authority))
    for server in services.servers:
        server.start()
        stack.callback(server.stop)
    return services, authority.ca_file


class _Shop:
    """The quiet app, as a script of its own. Installed code has no call sites, since it is not the app's own."""

    def __init__(self, environment: Environment, folder: Path, services: Services, ca_file: Path) -> None:
        self._environment = environment
        self._folder = folder
        script = folder / "shop" / "shop.py"
        script.parent.mkdir()
        with as_file(files("backwatch.attack.demo") / "shop.py") as source:
            shutil.copyfile(source, script)
        self._command = ("run", "--", sys.executable, str(script), "--every")
        self._settings = {
            **{f"SHOP_{server.name.upper()}_PORT": str(server.port) for server in services.servers},
            "SHOP_CA_FILE": str(ca_file), "SHOP_PASSWORD": "only-a-demo", "OTEL_SERVICE_NAME": "shop",
        }  # fmt: skip

    def history(self, target: StreamSettings) -> tuple[int, int]:
        """Run the shop briefly, and publish its calls as its past: (calls, end of the last one)."""
        capture = f"sqlite:///{self._folder / 'capture.db'}"
        more = {**self._settings, "BACKWATCH_STREAM_URL": capture}
        done = self._environment.start("history", (*self._command, "0.01", "--rounds", str(ROUNDS)), more)
        self._environment.wait_for_exit(done)
        try:
            return history.publish(StreamSettings(url=capture), target, ROUNDS)
        except RuntimeError as error:
            raise ComponentError(f"{error} {done.log_tail()}") from None

    def live(self) -> Child:
        """Start the live shop."""
        return self._environment.start("shop", (*self._command, str(history.EVERY_S)), self._settings, stdin=True)
