"""Third-party test suites: the description of one in ``bench/transparency``, and its installation.

The driver is installed from its wheel into the suite's own environment. Its tests are taken out of the source
distribution (checked against the hash in the file), and the driver's own code in there is removed, so that the suite
tests the installed driver. Everything goes below ``.tools/transparency``, once.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

ROOT = Path(__file__).parents[1]
SUITES = Path(__file__).with_name("transparency")
PLACE = ROOT / ".tools" / "transparency"
COMMON = (
    "opentelemetry-distro==0.66b1", "opentelemetry-exporter-otlp-proto-http==1.45.1", "pytest-timeout==2.4.0",
)  # fmt: skip
"""What every suite's environment has: plain OpenTelemetry, and an end to a test that hangs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One file of ``bench/transparency``.

    Attributes:
        source: Distribution and version whose sources hold the tests, ``redis==8.1.0``.
        sha256: The hash of that source distribution.
        requirements: Distributions besides :data:`COMMON`: the driver, pytest, helpers.
        built: The requirements that have no wheel.
        contrib: OpenTelemetry's instrumentations of the driver; empty if there is none.
        drop: Paths in the sources that the installed driver replaces.
        server: A file of ``tests/services/databases``; empty if the suite brings its own.
        sql: Statements that make the databases that the suite expects.
        command: Arguments for its Python, in the sources' folder; words in braces are the server's (``{port}``).
        short: Run instead of the command for the short set; empty: the command itself.
        environment: Variables, with the server's words too.
        timeout_s: For one run.
        asserts_unwrapped: Tests that assert that nothing is wrapped, each with the reason: not counted as newly failed.
    """

    name: str
    source: str
    sha256: str
    requirements: Sequence[str]
    built: Sequence[str] = ()
    contrib: Sequence[str] = ()
    drop: Sequence[str] = ()
    server: str = ""
    sql: Sequence[str] = ()
    command: Sequence[str]
    short: Sequence[str] = ()
    environment: dict[str, str] = field(default_factory=dict[str, str])
    timeout_s: float = 1500
    asserts_unwrapped: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def folder(self) -> Path:
        """The folder of its environment and its sources."""
        return PLACE / self.name

    @property
    def python(self) -> Path:
        """Its own interpreter."""
        return self.folder / "venv" / "bin" / "python"

    @property
    def sources(self) -> Path:
        """The unpacked source distribution."""
        return self.folder / "source"


def list_suites() -> list[str]:
    """Return the names of all suites."""
    return sorted(path.stem for path in SUITES.glob("*.toml"))


def load(name: str) -> Suite:
    """Load one suite.

    Raises:
        SystemExit: There is none of that name, or its file has an unknown key.
    """
    try:
        description = tomllib.loads((SUITES / f"{name}.toml").read_text())
    except FileNotFoundError:
        raise SystemExit(f"bench: no suite {name!r}; there are {', '.join(list_suites())}") from None
    unknown = set(description).difference(setting.name for setting in fields(Suite))
    if unknown:
        raise SystemExit(f"bench: {name}.toml: no such key: {', '.join(sorted(unknown))}")
    return Suite(name=name, **description)


def prepare(suite: Suite) -> None:
    """Create environment and sources as the suite's file describes, unless they exist."""
    wanted = repr((suite.source, suite.sha256, suite.requirements, suite.built, suite.contrib, suite.drop, COMMON))
    stamp = suite.folder / "stamp"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    shutil.rmtree(suite.folder, ignore_errors=True)
    suite.folder.mkdir(parents=True)
    _environment(suite)
    _sources(suite)
    stamp.write_text(wanted)


def _environment(suite: Suite) -> None:
    uv = shutil.which("uv", path=os.pathsep.join([str(ROOT / ".tools/uv/bin"), os.environ.get("PATH", "")]))
    if uv is None:
        raise SystemExit("bench: no uv; make environment brings it")
    _run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(suite.folder / "venv"))
    _run(
        uv, "pip", "install", "--quiet", "--python", str(suite.python), "--only-binary", ":all:",
        *(word for name in ("backwatch-collector", *suite.built) for word in ("--no-binary", name)),
        *COMMON, *suite.contrib, *suite.requirements,
        "--editable", str(ROOT / "collector"),
    )  # fmt: skip


def _sources(suite: Suite) -> None:
    name = suite.source.partition("==")[0]
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder, "wanted.txt")
        wanted.write_text(f"{suite.source} --hash=sha256:{suite.sha256}\n")
        _run(
            sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", name,
            "--require-hashes", "--dest", folder, "--requirement", str(wanted),
        )  # fmt: skip
        archive = next(Path(folder).glob("*.tar.gz"))
        if hashlib.sha256(archive.read_bytes()).hexdigest() != suite.sha256:
            raise SystemExit(f"bench: {archive.name} differs from {suite.name}.toml")
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
        shutil.move(next(path for path in Path(folder).iterdir() if path.is_dir()), suite.sources)
    for pattern in suite.drop:
        found = list(suite.sources.glob(pattern))
        if not found:
            raise SystemExit(f"bench: {suite.name}.toml: drop: nothing is called {pattern!r} in {suite.source}")
        for path in found:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"bench: {' '.join(command)}\n{done.stdout[-1000:]}{done.stderr[-3000:]}")
