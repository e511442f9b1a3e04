"""``backwatch doctor``: what of the apps of this environment is watched, what is not, and why."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, distributions, entry_points, version
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from backwatch.collector import names, settings
from backwatch.collector.bootstrap.installed_drivers import is_supported
from backwatch.collector.probes import Probe, discover
from backwatch.collector.stream import StreamUnavailable
from backwatch.collector.stream.factory import open_publisher

OK: Final = "ok"
FAULT: Final = "fault"
UNKNOWN: Final = "unknown"
DRIVER: Final = "driver "
GROUP: Final = "backwatch.doctor"
"""Entry points of members that diagnose more where they are installed: functions without arguments."""
UNWATCHED: Final = {
    "aiomysql": "PyMySQL", "asyncmy": "PyMySQL", "aiopg": "psycopg2", "pyodbc": "python-tds or a native driver",
    "pymssql": "python-tds", "oracledb": "", "cx-oracle": "", "ibm-db": "", "snowflake-connector-python": "",
    "google-cloud-bigquery": "", "google-cloud-storage": "", "google-cloud-pubsub": "", "azure-storage-blob": "",
    "azure-servicebus": "", "azure-cosmos": "", "neo4j": "", "influxdb-client": "", "pulsar-client": "",
    "paho-mqtt": "", "stomp-py": "", "pyzmq": "", "happybase": "", "aiosmtplib": "smtplib", "aioftp": "ftplib",
    "pylibmc": "pymemcache", "aiomcache": "pymemcache", "python-memcached": "pymemcache", "paramiko": "",
    "pycurl": "requests or httpx", "couchbase": "", "python-ldap": "ldap3", "duckdb": "sqlite3", "pysolr": "requests",
    "minio": "boto3", "etcd3": "", "kazoo": "",
}  # fmt: skip
"""Well-known client libraries without a probe, and a watched one for the same services; empty: none."""
LAYERS: Final = ("django", "sqlalchemy")
"""Libraries that use a watched driver."""
SAMPLERS: Final = ("OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG")


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One line.

    Attributes:
        subject: What was looked at: ``driver psycopg``, ``stream``, ``process web-1``.
        status: ``ok``, ``fault`` or ``unknown``.
        seen: What was seen.
        fix: What to do; empty where nothing is wrong.
    """

    subject: str
    status: str
    seen: str
    fix: str = ""


def diagnose() -> list[Diagnosis]:
    """Look at configuration, client libraries and stream, and let the installed members look at more."""
    found = [*_diagnose_configuration(), *_diagnose_drivers(), *_diagnose_stream()]
    for point in sorted(entry_points(group=GROUP), key=lambda one: one.name):
        more: Callable[[], Sequence[Diagnosis]] = point.load()
        found += more()
    return found


def _diagnose_configuration() -> Iterator[Diagnosis]:
    wanted = settings.load(settings.CollectorSettings)
    if not wanted.enabled:
        yield Diagnosis(
            subject="collector", status=FAULT, seen="BACKWATCH_ENABLED=false: nothing is watched",
            fix="Remove the variable where the app is started",
        )  # fmt: skip
    unknown = settings.unknown_names(settings.names_of(*settings.ALL))
    for name in unknown[:20]:
        yield Diagnosis(subject=name, status=FAULT, seen=settings.describe_unknown(name), fix="Correct the name")
    if not (os.environ.get("OTEL_SERVICE_NAME") or os.environ.get("BACKWATCH_APP")):
        yield Diagnosis(
            subject="app", status=UNKNOWN, seen="it has no name here: it will be that of its script",
            fix="Set OTEL_SERVICE_NAME where the app is started",
        )  # fmt: skip
    sampler = os.environ.get(SAMPLERS[0], "")
    if "ratio" in sampler:
        yield Diagnosis(
            subject="sampling", status=UNKNOWN,
            seen=f"{SAMPLERS[0]}={sampler[:60]}: calls that probes record are complete, spans of other "
            "instrumentations are not",
            fix="Keep all client spans of other languages: docs/guides/other-languages.md",
        )  # fmt: skip


def _diagnose_drivers() -> Iterator[Diagnosis]:
    disabled = set(settings.load(settings.CollectorSettings).disabled_probes)
    for probe in discover():
        installed = _find_version(probe)
        if not installed:
            continue
        subject = f"{DRIVER}{probe.name}"
        if probe.name in disabled:
            yield Diagnosis(
                subject=subject, status=FAULT, seen=f"{installed}: BACKWATCH_DISABLED_PROBES leaves it unwatched",
                fix="Take it out of that list",
            )  # fmt: skip
        elif not is_supported(probe.distributions):
            wanted = " or ".join(probe.distributions)
            yield Diagnosis(
                subject=subject, status=FAULT, seen=f"{installed} is not watched: {wanted} is",
                fix="Install a version in that range",
            )  # fmt: skip
        elif names.TLS_ESTABLISHED not in probe.facts:
            below = probe.name in LAYERS
            seen = "the driver below it shows TLS" if below else "but it cannot show TLS"
            yield Diagnosis(subject=subject, status=OK if below else UNKNOWN, seen=f"{installed}: watched, {seen}")
        else:
            yield Diagnosis(subject=subject, status=OK, seen=f"{installed}: watched")
    present = {str(canonicalize_name(found.name)): found.version for found in distributions() if found.name}
    for name, instead in UNWATCHED.items():
        if name in present:
            yield Diagnosis(
                subject=f"{DRIVER}{name}", status=FAULT, seen=f"{present[name]}: there is no probe for it",
                fix=f"Its calls are not seen; {instead} is watched" if instead else "Its calls are not seen",
            )  # fmt: skip


def _find_version(probe: type[Probe]) -> str:
    """Return the version of the installed distribution; empty: none, or Python's own library."""
    for text in probe.distributions:
        try:
            return version(Requirement(text).name)
        except PackageNotFoundError:
            continue
    return ""


def _diagnose_stream() -> Iterator[Diagnosis]:
    wanted = settings.load(settings.StreamSettings)
    shown = settings.without_secrets(wanted.url) if wanted.url else "the embedded one of this user"
    try:
        open_publisher(wanted).close(2.0)
    except StreamUnavailable as error:
        yield Diagnosis(
            subject="stream", status=FAULT, seen=f"{shown} does not respond: {error}",
            fix="Correct BACKWATCH_STREAM_URL, or start the brokers; until then records wait in each process, then are "
            "dropped and counted",
        )  # fmt: skip
    else:
        yield Diagnosis(subject="stream", status=OK, seen=f"{shown} responds")


def format_text(found: Sequence[Diagnosis]) -> str:
    """Return a line for each diagnosis, its remedy below it."""
    marks = {OK: "✓", FAULT: "✗", UNKNOWN: "?"}
    watched = [one for one in found if one.status == OK and one.subject.startswith(DRIVER)]
    shown = [one for one in found if one not in watched]
    width = max((len(one.subject) for one in shown), default=0)
    lines: list[str] = []
    for one in shown:
        lines.append(f"{marks[one.status]} {one.subject:<{width}}  {one.seen}")
        if one.fix:
            lines.append(f"  {'→':<{width}}  {one.fix}")
    if watched:
        listed = ", ".join(one.subject.removeprefix(DRIVER) for one in watched)
        lines.insert(0, f"{marks[OK]} {'drivers':<{width}}  {len(watched)} watched: {listed}")
    faults = sum(one.status == FAULT for one in found)
    lines.append(f"faults: {faults}; unknown: {sum(one.status == UNKNOWN for one in found)}; looked at: {len(found)}")
    return "\n".join(lines)


def format_json(found: Sequence[Diagnosis]) -> str:
    """Return a JSON array with an object for each diagnosis."""
    return json.dumps([asdict(one) for one in found], indent=2)
