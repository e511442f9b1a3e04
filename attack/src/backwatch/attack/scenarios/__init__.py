"""The attack pack: one file per attack, in a folder per protocol. A new scenario is one new file here, nothing else.

A scenario states an attack once: the server, which really speaks its protocol, is honest first and then turns hostile;
and the app that uses it through a real driver, with at most one careless option. ``runs`` lists the clients that it
runs on. The app is a process of its own under ``backwatch run``, from a copy of the scenario's file: installed code has
no call sites.
"""

import importlib
import importlib.metadata
import json
import os
import pkgutil
import platform
import ssl
import sys
from abc import ABC
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Self

from backwatch.attack.authority import Authority
from backwatch.attack.clients import Client
from backwatch.attack.folders import files
from backwatch.attack.protocols.server import SECRET as SECRET
from backwatch.attack.protocols.server import HostileServer

SUCCEEDED = "succeeded"
MAX_ERROR_CHARS = 300
"""Characters of a driver's error that are shown."""
GROUPS = {
    "A": "transport", "B": "authentication", "C": "redirects and topology", "D": "hostile content",
    "E": "availability", "F": "abuse through SQL", "G": "abuse through other services",
    "H": "exfiltration, time and account",
}  # fmt: skip
_CALL = """

if __name__ == "__main__":
    from backwatch.attack.scenarios import run_app

    run_app(__name__, {index})
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppConfig:
    """Configuration of a scenario's app: its server and its work.

    Attributes:
        port: Port of the server on loopback.
        ca_file: Certificate authority to trust.
        rounds: Rounds of honest work before anything else.
        live: Whether the server turns hostile afterwards. If not, the rounds become the app's past.
        answers: File to which the app appends its results, one JSON object per line.
    """

    port: int
    ca_file: str
    rounds: int
    live: bool
    answers: Path

    @classmethod
    def from_environment(cls) -> Self:
        """Read the variables that the runner set."""
        variables = os.environ
        return cls(
            port=int(variables["ATTACK_PORT"]), ca_file=variables["ATTACK_CA_FILE"],
            rounds=int(variables["ATTACK_ROUNDS"]), live=variables["ATTACK_LIVE"] == "1",
            answers=Path(variables["ATTACK_ANSWERS"]),
        )  # fmt: skip

    def environment(self) -> dict[str, str]:
        """Return the variables for the app's process."""
        return {
            "ATTACK_PORT": str(self.port), "ATTACK_CA_FILE": self.ca_file, "ATTACK_ROUNDS": str(self.rounds),
            "ATTACK_LIVE": str(int(self.live)), "ATTACK_ANSWERS": str(self.answers),
        }  # fmt: skip


class Run:
    """One client that a scenario runs on, with the attributes of the scenario that differ on it.

    Args:
        client: The client.
        suffix: End of the scenario's name on this client; empty on the first one.
        overrides: Attributes of the scenario and their values on this client.
    """

    def __init__(self, client: type[Client], suffix: str = "", **overrides: object) -> None:
        self.client = client
        self.suffix = suffix
        self.overrides = overrides


class Scenario(ABC):
    """One attack: what it is, its server, and the app that uses it. An instance is the app.

    Attributes:
        code: Number in the catalogue, ``D1``. The letter is the group.
        attack: What the server or the attacker does, in one sentence.
        reference: CVE, technique or page that describes it.
        driver: Module of the client library.
        notices: What an ordinary client notices of it; usually nothing.
        rule: Rule that must raise an alert. No other alert above informational may be raised.
        option: The driver's option without which it refuses; empty where none is needed.
        settings: Backwatch settings in the app's environment.
        runs: The clients that it runs on; empty: the scenario uses one driver itself.
        server: Class of the server; ``kept`` records what it and its companions receive.
        servers: Classes of the servers by the clients' protocol, where ``server`` is not set.
        stays_honest: Whether the attacker comes through the app and the server never turns hostile.
        captures: Bytes that the attacker's side must have received for the attack to succeed.
        shows: Text that the app's result must contain for the attack to succeed.
    """

    code: ClassVar[str]
    attack: ClassVar[str]
    reference: ClassVar[str]
    driver: ClassVar[str]
    notices: ClassVar[str] = "nothing"
    rule: ClassVar[str]
    option: ClassVar[str] = ""
    settings: ClassVar[Mapping[str, str]] = {}
    runs: ClassVar[Sequence[Run]] = ()
    server: ClassVar[type[HostileServer]]
    servers: ClassVar[Mapping[str, type[HostileServer]]] = {}
    stays_honest: ClassVar[bool] = False
    captures: ClassVar[bytes] = b""
    shows: ClassVar[str] = ""
    client_class: ClassVar[type[Client] | None] = None
    run_index: ClassVar[int] = 0

    def __init__(self, config: AppConfig) -> None:
        self.config = config
        self.client: Any = self.client_class(config.port, config.ca_file) if self.client_class else None

    def tls_context(self) -> ssl.SSLContext:
        """Return a client's context that checks chain and name."""
        return ssl.create_default_context(cafile=self.config.ca_file)

    @classmethod
    def name(cls) -> str:
        """Return folder, file and client in words: ``mysql-local-infile``."""
        _, folder, file = cls.__module__.rsplit(".", 2)
        protocol = cls.client_class.protocol if cls.client_class else ""
        suffix = cls.runs[cls.run_index].suffix if cls.runs else ""
        return "-".join(part for part in (protocol or folder, file.replace("_", "-"), suffix) if part)

    @classmethod
    def group(cls) -> str:
        """Return what kind of attack it is."""
        return GROUPS[cls.code[0]]

    @classmethod
    def source(cls) -> str:
        """Return the text of the app's program: the scenario's file, and a call that runs it on this client."""
        file = Path(str(sys.modules[cls.__module__].__file__))
        return file.read_text() + _CALL.format(index=cls.run_index)

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return the server, not started yet. It keeps what the attacker's side receives."""
        server = cls.server(authority)
        server.record()
        return server

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """Turn the server hostile; clients lose their sessions and connect again."""
        service.forget()
        if not cls.stays_honest:
            service.turn()

    def work(self) -> object:
        """Do one round of the app's ordinary work and return its result, fit for JSON; by default a visit."""
        return self.client.visit()

    def meet(self) -> object:
        """Do the same work once the server has turned hostile or the attacker uses the app.

        Raises:
            Exception: The driver refuses.
        """
        return self.work()

    @classmethod
    def has_succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether the attacker has what it wanted: ``captures`` and ``shows``, or any result."""
        if cls.captures:
            return any(cls.captures in received for received in service.collect_leaks())
        return cls.shows in str(got) if cls.shows else bool(got)


@cache
def driver_version(module: str) -> str:
    """Return a client library's installed version; Python's own where it comes with Python; empty: not installed."""
    if module.partition(".")[0] in sys.stdlib_module_names:
        return platform.python_version()
    found = _distributions().get(module.partition(".")[0])
    return importlib.metadata.version(found[0]) if found else ""


@cache
def _distributions() -> Mapping[str, Sequence[str]]:
    return importlib.metadata.packages_distributions()


@cache
def discover() -> Sequence[type[Scenario]]:
    """Return every scenario on each of its clients, in the order of their names."""
    found = [kind for folder in pkgutil.iter_modules(__path__) if folder.ispkg for kind in _in_folder(folder.name)]
    return sorted(found, key=lambda kind: kind.name().replace("-", "_"))


def _in_folder(folder: str) -> Iterator[type[Scenario]]:
    package = importlib.import_module(f"{__name__}.{folder}")
    for file in files(package.__path__):
        yield from variants(importlib.import_module(f"{package.__name__}.{file}"))


def variants(module: ModuleType) -> Sequence[type[Scenario]]:
    """Return the scenario of a module on each of its clients; no driver is imported yet.

    A client's variant is a subclass in the scenario's own module, so that it can be pickled by its name.
    """
    (scenario,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Scenario) and value.__module__ == module.__name__
        and "run_index" not in vars(value)
    )  # fmt: skip
    found: list[type[Scenario]] = []
    for index, run in enumerate(scenario.runs):
        name = f"{scenario.__name__}On{run.client.__name__}"
        if not hasattr(module, name):
            special: dict[str, object] = {"client_class": run.client, "driver": run.client.driver, "run_index": index}
            if not hasattr(scenario, "server"):
                special["server"] = scenario.servers.get(run.client.protocol)
            own = {"__module__": module.__name__, "__doc__": scenario.__doc__}
            setattr(module, name, type(name, (scenario,), {**own, **special, **run.overrides}))
        found.append(getattr(module, name))
    return found or [scenario]


def run_app(module: str, index: int) -> None:
    """Run a scenario's app: honest rounds, then, where it is live, one round under attack.

    Args:
        module: Name of the module that holds the scenario.
        index: Index of the client in ``runs``.
    """
    config = AppConfig.from_environment()

    def write(**result: object) -> None:
        with config.answers.open("a") as file:
            file.write(json.dumps(result) + "\n")

    app = variants(sys.modules[module])[index](config)
    for _ in range(config.rounds):
        app.work()
    write(worked=config.rounds)
    if not config.live:
        return
    sys.stdin.readline()  # until the server has turned hostile
    try:
        got = app.meet()
    except Exception as error:  # noqa: BLE001  any refusal of the driver is a result here
        write(refused=f"{type(error).__name__}: {error}"[:MAX_ERROR_CHARS])
    else:
        write(got=got)
    sys.stdin.readline()  # the app stays alive, as apps do, until everything is judged
