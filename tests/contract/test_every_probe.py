"""Requirements of every probe: it changes no behaviour of its driver, and reports the facts that it declares.

For each probe there is ``exercises/<name>.py``, found here by the probe's name: ``SERVICES`` (fixtures it needs),
``calls(services)`` (a typical app's calls, enough for every fact; returns the app's results) and
``failures(services)`` (callables that each make the driver raise). ``UNKNOWN`` may name facts that the driver version
at hand cannot report, where older ones could.
"""

import importlib
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import WRAPPER_ASSIGNMENTS
from pathlib import Path
from typing import Any

import pytest

from backwatch.collector import names
from backwatch.collector.probes import Probe, discover
from backwatch.collector.probes.toolkit.patches import Patches
from tests.collector.probes.recording import Raising, Recording, watching
from tests.services.process import ROOT

pytestmark = pytest.mark.xdist_group("exercises")  # which use fixed names on servers
PROBES = list(discover())
EXERCISES = Path(__file__).with_name("exercises")
Raised = tuple[type[BaseException], str]
every_probe = pytest.mark.parametrize("kind", PROBES, ids=[kind.name for kind in PROBES])


@pytest.fixture
def exercise(kind: type[Probe]) -> Any:
    return importlib.import_module(f"tests.contract.exercises.{kind.name}")


@pytest.fixture
def services(exercise: Any, request: pytest.FixtureRequest) -> dict[str, Any]:
    return {name: request.getfixturevalue(name) for name in exercise.SERVICES}


def attributes_of(kind: type[Probe]) -> dict[tuple[str, str], object]:
    """Return every function, class and descriptor of the driver's modules and classes, without its data."""
    root = kind.module.partition(".")[0]
    found: dict[tuple[str, str], object] = {}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] != root:
            continue
        for attribute, value in vars(module).items():
            found[name, attribute] = value
            # Read from its type: the access would create a lazy object of the driver's.
            if issubclass(type(value), type) and (value.__module__ or "").partition(".")[0].lstrip("_") == root:
                found.update({(f"{name}.{attribute}", inner): part for inner, part in vars(value).items()})
    return {key: value for key, value in found.items() if callable(value) or hasattr(type(value), "__get__")}


@every_probe
def test_a_probe_has_an_exercise(kind: type[Probe]) -> None:
    assert (EXERCISES / f"{kind.name}.py").exists()


@every_probe
def test_a_probe_is_named_after_its_file(kind: type[Probe]) -> None:
    assert kind.__module__.rpartition(".")[2] == kind.name


@every_probe
def test_probe_reports_only_names_of_the_contract(kind: type[Probe]) -> None:
    contract = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}
    assert kind.facts <= contract


FIRST = """
import importlib, sys
from backwatch.collector.bootstrap import start
start.start()
importlib.import_module(sys.argv[1])
print(sys.argv[2] in start.get_active_probes())
"""


@every_probe
def test_the_first_import_of_a_driver_installs_its_probe(kind: type[Probe], tmp_path: Path) -> None:
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "BACKWATCH_STREAM_URL": f"sqlite:///{tmp_path}/stream.db"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FIRST, kind.module, kind.name], capture_output=True, text=True,
        env=environment, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("True\n", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The exercise, bare and then observed.

    Attributes:
        bare, watched: The app's results.
        changed: True if the driver differed while it was observed.
        left: Attributes that differed after the probe was removed.
        reported: Names of all facts.
    """

    bare: list[object]
    watched: list[object]
    changed: bool
    left: list[tuple[str, str]]
    reported: frozenset[str]


@pytest.fixture
def scene(kind: type[Probe], exercise: Any, services: dict[str, Any], played: dict[str, Scene]) -> Scene:
    """Run once for all tests: dozens of drivers, some old, go through this."""
    if kind.name not in played:
        exercise.calls(services)  # late imports of the driver are there now, and leftovers of the exercise
        bare = exercise.calls(services)
        before = attributes_of(kind)
        with watching(kind) as recording:
            during = attributes_of(kind)
            watched = exercise.calls(services)
        after = attributes_of(kind)
        played[kind.name] = Scene(
            bare=bare, watched=watched,
            changed=any(during.get(key, value) is not value for key, value in before.items()),
            left=[key for key in before.keys() | after.keys() if after.get(key) is not before.get(key)],
            reported=frozenset(name for call in recording.calls for name in call.attributes()),
        )  # fmt: skip
    return played[kind.name]


@pytest.fixture(scope="module")
def played() -> dict[str, Scene]:
    """Return the exercise by the probe's name."""
    return {}


@every_probe
def test_remove_restores_every_attribute(kind: type[Probe], scene: Scene) -> None:
    assert scene.changed, kind
    assert scene.left == []


@every_probe
def test_the_app_sees_the_same_with_and_without(kind: type[Probe], scene: Scene) -> None:
    assert scene.bare == scene.watched, kind
    assert [type(one) for one in scene.bare] == [type(one) for one in scene.watched]


@every_probe
def test_every_declared_fact_is_delivered(kind: type[Probe], exercise: Any, scene: Scene) -> None:
    assert sorted(kind.facts - scene.reported - getattr(exercise, "UNKNOWN", frozenset())) == []


@every_probe
def test_probe_reports_no_undeclared_fact(kind: type[Probe], scene: Scene) -> None:
    assert sorted(scene.reported - kind.facts - {names.BACKWATCH_CONTRACT}) == []


@every_probe
def test_collector_fault_never_reaches_the_app(
    kind: type[Probe], exercise: Any, services: dict[str, Any], scene: Scene,
    swallowed_faults: list[tuple[str, BaseException]],
) -> None:  # fmt: skip
    with threads_end(), watching(kind, Raising()):
        assert scene.bare == exercise.calls(services)
    assert swallowed_faults


@every_probe
def test_errors_of_the_driver_pass_unchanged(
    kind: type[Probe], exercise: Any, services: dict[str, Any], raised: dict[str, list[Raised]]
) -> None:
    bare = raised[kind.name] = [_catch(one) for one in exercise.failures(services)]
    with watching(kind) as recording:
        watched = [_catch(one) for one in exercise.failures(services)]
    assert bare == watched
    assert any(call.error is not None for call in recording.calls)


@every_probe
def test_errors_of_the_driver_pass_unchanged_even_if_the_recorder_fails(
    kind: type[Probe], exercise: Any, services: dict[str, Any], raised: dict[str, list[Raised]],
    swallowed_faults: list[tuple[str, BaseException]],
) -> None:  # fmt: skip
    bare = raised.get(kind.name) or [_catch(one) for one in exercise.failures(services)]
    with threads_end(), watching(kind, Raising()):
        assert bare == [_catch(one) for one in exercise.failures(services)]


@contextmanager
def threads_end() -> Generator[None]:
    """Give threads of a client a second to end: the last reply is recorded by the probe of its request."""
    before = set(threading.enumerate())
    yield
    until = time.monotonic() + 1
    for one in set(threading.enumerate()) - before:
        one.join(max(0.0, until - time.monotonic()))


@pytest.fixture(scope="module")
def raised() -> dict[str, list[Raised]]:
    """Return the driver's bare errors, by the probe's name."""
    return {}


def _catch(failing: Callable[[], object]) -> Raised:
    try:
        failing()
    except Exception as error:  # noqa: BLE001  any error of the driver is compared
        # Older drivers name objects by their address, and Dovecot includes the duration of a command.
        return type(error), re.sub(r" at 0x[0-9a-f]+| \((?:\d+\.\d+[ +]*)+secs\)", "", str(error))
    raise AssertionError(f"{failing} was expected to fail")


@every_probe
def test_removed_probe_records_nothing(kind: type[Probe], exercise: Any, services: dict[str, Any]) -> None:
    with watching(kind) as recording:
        pass
    exercise.calls(services)
    assert recording.calls == []


@every_probe
def test_a_probe_can_be_installed_again(kind: type[Probe], exercise: Any, services: dict[str, Any]) -> None:
    for _ in range(2):
        with watching(kind, Recording()) as recording:
            exercise.calls(services)
        assert recording.calls


BOTH = """
import sys
from backwatch.collector.probes.psycopg import PsycopgProbe
from backwatch.collector.probes.psycopg2 import Psycopg2Probe
from tests.collector.probes.recording import Recording
import psycopg, psycopg2
recording = Recording()
for probe in (PsycopgProbe(), Psycopg2Probe()):
    probe.instrument(recorder=recording)
for _ in range(3):
    for driver in (psycopg, psycopg2):
        driver.connect(sys.argv[1]).close()
facts = {(one.session.certificate_sha256, one.session.tls_version, one.session.verified) for one in recording.calls}
assert len(recording.calls) == 6 and len(facts) == 1, facts
print(facts.pop())
"""


def test_both_postgresql_wheels_report_the_same_in_one_process(postgresql: Any) -> None:
    for _ in range(5):  # looking symbols up in the process map crashed in 9 of 24 runs
        done = subprocess.run(
            [sys.executable, "-c", BOTH, postgresql.tls_url],
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
        assert done.returncode == 0, done.stderr
        assert "'full'" in done.stdout


@every_probe
def test_wrapped_function_keeps_its_metadata(kind: type[Probe], monkeypatch: pytest.MonkeyPatch) -> None:
    importlib.import_module(kind.module)
    seen: list[tuple[Any, Any]] = []
    wrap = Patches.wrap

    def watched(patches: Patches, owner: Any, name: str, make: Callable[..., Any]) -> bool:
        original = getattr(owner, name, None)
        done = wrap(patches, owner, name, make)
        if done:
            seen.append((original, getattr(owner, name)))
        return done

    monkeypatch.setattr(Patches, "wrap", watched)
    with watching(kind):
        for original, observed in seen:
            for word in (one for one in WRAPPER_ASSIGNMENTS if hasattr(original, one)):
                assert getattr(observed, word) == getattr(original, word), (original, word)
