"""Settings: from a flag, ``BACKWATCH_*``, the file named by ``BACKWATCH_CONFIG``, or the default.

Each part has one frozen dataclass whose fields have the environment variable in their metadata. Unknown names are
refused. A refusal names the setting and the value, but never the value of a secret.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from backwatch.collector.configuration import environment as runtime_environment
from backwatch.collector.configuration.values import parse_canaries, parse_instance_name, parse_one_of, parse_value

PREFIX = "BACKWATCH_"
HOUSEKEEPING = ("BACKWATCH_CONFIG",)
RESOURCE_PREFIX = "BACKWATCH_RESOURCE"
"""Prefix of what ``backwatch.resource`` reads and checks in the app."""
FOREIGN_PREFIXES = ("BACKWATCH_TEST_", RESOURCE_PREFIX)
"""Names under the prefix that are none of these settings: those of the tests and of attached resources."""
OUTPUT_PREFIX = "BACKWATCH_OUTPUT_"
"""Prefix of settings that an output of notify declares in its own file; only notify knows and checks them."""


class SettingError(ValueError):
    """A setting that cannot be used. The message is one line and names the setting and the value."""


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


T = TypeVar("T", bound=_Dataclass)


def setting(
    env: str,
    *,
    default: Any = MISSING,
    secret: bool = False,
    parse: Callable[[str], Any] | None = None,
    least: float = 0,
    most: float = 1e12,
) -> Any:
    """A dataclass field that is read from ``env`` (``BACKWATCH_…``).

    Args:
        env: The environment variable; the key in the TOML file is the same without ``BACKWATCH_``, in lower case.
        default: The value if the setting is absent.
        secret: Its value is never shown, neither in errors nor in ``repr``.
        parse: Converts text to the field's type; if absent, the field's annotation decides.
        least: The smallest valid number.
        most: The largest valid number.
    """
    metadata = {"env": env, "secret": secret, "parse": parse, "least": least, "most": most}
    return field(default=default, repr=not secret, metadata=metadata)


def state_directory(environment: Mapping[str, str]) -> Path:
    """Return the folder of the embedded stream and store: ``$XDG_STATE_HOME/backwatch`` or its default."""
    home = environment.get("XDG_STATE_HOME") or str(
        Path(environment.get("HOME", "~")).expanduser() / ".local" / "state"
    )
    return Path(home) / "backwatch"


def make_private(folder: Path) -> None:
    """Create the folder and missing parents, accessible to this user only; existing ones keep their mode.

    Raises:
        OSError: One of them cannot be made.
    """
    for path in (*reversed(folder.parents), folder):  # ``parents=True`` would create parents with the umask
        if not path.exists():
            path.mkdir(mode=0o700, exist_ok=True)


def default_stream_url() -> str:
    """Return the URL of the embedded stream, for one machine."""
    return f"sqlite:///{state_directory(runtime_environment.environment()) / 'stream.db'}"


def default_store_url() -> str:
    """Return the URL of the embedded store, beside the embedded stream."""
    return f"sqlite:///{state_directory(os.environ) / 'store.db'}"


def without_secrets(url: str) -> str:
    """Return the URL without user-info and query, for messages, even if it is malformed.

    >>> without_secrets("postgresql://me:pass/word@db:5432/shop?sslpassword=x")
    'postgresql://db:5432/shop'
    """
    scheme, separator, rest = url.partition("://")
    if not separator or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]{0,30}", scheme):
        return "(not a URL)"
    before, at, after = ("", "", rest) if scheme == "sqlite" else rest.rpartition("@")
    # A ``?`` before the last ``@`` may belong to a password, or the ``@`` to a query: that cannot be distinguished.
    return f"{scheme}://(unclear)" if at and re.search("[?#]", before) else f"{scheme}://{re.split('[?#]', after)[0]}"


def load(kind: type[T], *, flags: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None) -> T:
    """Load one part's settings.

    Args:
        kind: A frozen dataclass whose fields were made by :func:`setting`.
        flags: Values from the command line by field name; ``None``: not given.
        environment: Default: ``os.environ``, with variables that a watched app has removed since its start.

    Raises:
        SettingError: A value cannot be parsed, the file is unreadable, or it has an unknown key.
    """
    environment = runtime_environment.environment() if environment is None else environment
    flags = flags or {}
    from_file = _file(environment)
    values: dict[str, Any] = {}
    for spec in fields(kind):
        env: str = spec.metadata["env"]
        key = _key(env)
        if flags.get(spec.name) is not None:
            raw, origin = flags[spec.name], "--" + spec.name.replace("_", "-")
        elif env in environment:
            raw, origin = environment[env], env
        elif key in from_file:
            raw, origin = from_file[key], f"{environment['BACKWATCH_CONFIG']}: {key}"
        else:
            continue
        try:
            values[spec.name] = parse_value(spec, raw if isinstance(raw, str) else _as_text(raw))
        except ValueError as error:
            shown = (
                "(secret)" if spec.metadata["secret"] else repr(without_secrets(str(raw)) if "://" in str(raw) else raw)
            )
            raise SettingError(f"{origin}={shown}: {error}") from None
    try:
        return kind(**values)
    except TypeError:
        missing = [spec.metadata["env"] for spec in fields(kind) if spec.default is MISSING and spec.name not in values]
        raise SettingError(f"{', '.join(missing)} must be set") from None


def _key(env: str) -> str:
    return env.removeprefix(PREFIX).lower()


def _as_text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _file(environment: Mapping[str, str]) -> dict[str, Any]:
    path = environment.get("BACKWATCH_CONFIG")
    if not path:
        return {}
    import tomllib  # not in an app without such a file

    try:
        return tomllib.loads(Path(path).read_text())
    except OSError as error:
        raise SettingError(f"BACKWATCH_CONFIG={path!r}: {error.strerror}") from None
    except ValueError as error:  # not TOML, or not UTF-8
        raise SettingError(f"BACKWATCH_CONFIG={path!r}: {error}") from None


def unknown_names(known: set[str], environment: Mapping[str, str] | None = None) -> list[str]:
    """Return unknown names under ``BACKWATCH_`` and keys of the file: probably misspelt, and without effect.

    Settings of outputs are left out: see :func:`unknown_output_names`.
    """
    return [name for name in _unknown(known, environment) if not name.startswith(OUTPUT_PREFIX)]


def unknown_output_names(known: set[str], environment: Mapping[str, str] | None = None) -> list[str]:
    """Return unknown names under ``BACKWATCH_OUTPUT_``, for notify."""
    return [name for name in _unknown(known, environment) if name.startswith(OUTPUT_PREFIX)]


def _unknown(known: set[str], environment: Mapping[str, str] | None) -> list[str]:
    environment = os.environ if environment is None else environment
    mine = [name for name in environment if name.startswith(PREFIX) and not name.startswith(FOREIGN_PREFIXES)]
    mine += [PREFIX + key.upper() for key in _file(environment)]
    return sorted({name for name in mine if name not in known and name not in HOUSEKEEPING})


def names_of(*kinds: type[_Dataclass]) -> set[str]:
    """Return the environment variables of these parts' settings."""
    return {spec.metadata["env"] for kind in kinds for spec in fields(kind)}


def describe_unknown(name: str, environment: Mapping[str, str] | None = None) -> str:
    """Return a message about an unknown name, with the similar setting, and its value unless that is a secret."""
    import difflib  # never inside an app

    environment = os.environ if environment is None else environment
    secret = {spec.metadata["env"]: spec.metadata["secret"] for kind in ALL for spec in fields(kind)}
    short = [known.removeprefix(PREFIX) for known in secret]
    near = [PREFIX + match for match in difflib.get_close_matches(name.removeprefix(PREFIX), short, cutoff=0.7)]
    here = name in environment
    called, meant = (name, near[:1]) if here else (_key(name), [_key(match) for match in near[:1]])
    if not near or any(secret[match] for match in near):
        shown = called[:100]
    else:
        value = environment[name] if here else _as_text(_file(environment).get(_key(name), ""))
        shown = f"{called}={(without_secrets(value) if '://' in value else value)[:100]!r}"
    where = "" if here else f"{environment.get('BACKWATCH_CONFIG', '')}: "
    return f"{where}{shown}: no such setting{f'; is {meant[0]} meant?' if meant else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorSettings:
    """Settings of the collector inside the app."""

    stream_url: str = setting("BACKWATCH_STREAM_URL", default="")
    """Where calls go: ``kafka://host:9092`` (more brokers behind commas) or ``sqlite:////absolute/path``; empty: the
    embedded stream."""
    enabled: bool = setting("BACKWATCH_ENABLED", default=True)
    """The kill switch: false leaves the app exactly as it was."""
    queue_records: int = setting("BACKWATCH_COLLECTOR_QUEUE_RECORDS", default=10_000, least=1)
    """Records held while the stream is away; then new ones are dropped and counted."""
    queue_bytes: int = setting("BACKWATCH_COLLECTOR_QUEUE_BYTES", default=11_000_000, least=1)
    """Bytes of memory that they may take, texts, facts and sessions counted in."""
    flush_interval_s: float = setting("BACKWATCH_COLLECTOR_FLUSH_INTERVAL_S", default=0.2)
    """Seconds in which calls are gathered before they are sent."""
    heartbeat_s: float = setting("BACKWATCH_COLLECTOR_HEARTBEAT_S", default=15.0, least=0.1, most=600)
    """Seconds between two heartbeats of a process. One that misses three raises `watch-lost`."""
    exit_timeout_s: float = setting("BACKWATCH_COLLECTOR_EXIT_TIMEOUT_S", default=1.25)
    """How long the app's exit may wait for the last batch."""
    disabled_probes: tuple[str, ...] = setting("BACKWATCH_DISABLED_PROBES", default=())
    """Probes to leave out, by the name that ``backwatch probes`` lists first, between commas: ``redis,MySQLdb``."""
    canaries: tuple[str, ...] = setting("BACKWATCH_CANARIES", default=(), secret=True, parse=parse_canaries)
    """Words that you have planted in the data (an invented customer, an unused key), between commas, at most 64, of 8
    to 200 characters each: a response that contains one is reported."""
    exposure: str = setting("BACKWATCH_EXPOSURE", default="columns", parse=parse_one_of("off", "columns", "values"))
    """Whether calls report which kinds of sensitive data they carry: ``columns``: by the names of columns and fields
    alone; ``values``: a sample of values is recognised in the app's process, too; ``off``: not at all. Only names of
    kinds are reported, never a value."""
    app_name: str = setting("BACKWATCH_APP", default="")
    """The app's name if neither ``OTEL_SERVICE_NAME`` nor its own SDK sets one; empty: the script's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSettings:
    """Settings of the connection to the stream."""

    url: str = setting("BACKWATCH_STREAM_URL", default="")
    partitions: int = setting("BACKWATCH_STREAM_PARTITIONS", default=8, least=1, most=10_000)
    """Partitions of topics that the detector creates; more of them later: ``backwatch partitions add``."""
    security_protocol: str = setting("BACKWATCH_KAFKA_SECURITY_PROTOCOL", default="")
    """PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL; plaintext to a host that is not loopback must be set here."""
    ca_file: str = setting("BACKWATCH_KAFKA_CA_FILE", default="")
    """PEM file of the authority of the brokers' certificates; empty: the system's. Set, it asks for TLS."""
    sasl_mechanism: str = setting("BACKWATCH_KAFKA_SASL_MECHANISM", default="SCRAM-SHA-256")
    """PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512."""
    username: str = setting("BACKWATCH_KAFKA_USERNAME", default="")
    """Account at the brokers; set, it asks for a login over TLS."""
    password: str = setting("BACKWATCH_KAFKA_PASSWORD", default="", secret=True)
    """Its password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """Settings of the store of alerts and state."""

    url: str = setting("BACKWATCH_STORE_URL", default="")
    """``sqlite:////absolute/path`` or ``postgresql://user:password@host/database``; empty: beside the embedded
    stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorSettings:
    """Settings of the detector."""

    lateness_s: float = setting("BACKWATCH_DETECTOR_LATENESS_S", default=180.0)
    """Seconds that a call may be late and still count in its minute, at most 360; the watermark is this far behind."""
    commit_interval_s: float = setting("BACKWATCH_DETECTOR_COMMIT_INTERVAL_S", default=1.0)
    """Maximum seconds between commits; an alert that opens is committed at once."""
    commit_calls: int = setting("BACKWATCH_DETECTOR_COMMIT_CALLS", default=100_000, least=1)
    """Maximum number of calls between commits."""
    poll_records: int = setting("BACKWATCH_DETECTOR_POLL_RECORDS", default=200)
    """Records judged at once, which bounds memory between two checks for a due commit."""
    clear_after_s: float = setting("BACKWATCH_DETECTOR_CLEAR_AFTER_S", default=86_400.0)
    """Event time without a firing after which an alert clears, if a call was seen on which its rule did not fire or the
    alert is about one statement."""
    loopback: str = setting("BACKWATCH_DETECTOR_LOOPBACK", default="exempt", parse=parse_one_of("exempt", "judge"))
    """``exempt``: at a loopback address some things are no alert: plaintext and unverified sessions, unless TLS or the
    check of the server's name was asked for in vain, or the resource was encrypted before; passwords in clear,
    superusers and default accounts, secrets in URLs. ``judge``: judged as any other. Unix sockets and what stays inside
    the process are treated as under ``exempt`` either way."""
    rules_directory: str = setting("BACKWATCH_RULES_DIR", default="")
    """A folder of Sigma rules beside the shipped ones."""
    group: str = setting("BACKWATCH_DETECTOR_GROUP", default="backwatch-detector")
    """The consumer group in which detectors share the partitions."""
    instance: str = setting("BACKWATCH_DETECTOR_INSTANCE", default="", parse=parse_instance_name)
    """A name of this detector that outlives its restart and that no other detector has, ``detector-0`` say; letters,
    digits, ``.``, ``_``, ``-``. Set, a restart within 20 s moves no partition to another detector and back. Empty:
    none; a detector that leaves hands its partitions over at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifySettings:
    """Settings of notifications."""

    webhook_url: str = setting("BACKWATCH_WEBHOOK_URL", default="")
    """The https endpoint that gets events; empty: none."""
    webhook_secret: str = setting("BACKWATCH_WEBHOOK_SECRET", default="", secret=True)
    """``whsec_`` and base64 of 24 to 64 bytes; two separated by a blank while rotating."""
    allow_private_hosts: tuple[str, ...] = setting("BACKWATCH_WEBHOOK_ALLOW_PRIVATE_HOSTS", default=())
    """Hosts, between commas, that may resolve to private or loopback addresses, and may be spoken to without TLS."""
    ca_file: str = setting("BACKWATCH_WEBHOOK_CA_FILE", default="")
    """PEM file of authorities to trust instead of the public ones."""
    timeout_s: float = setting("BACKWATCH_WEBHOOK_TIMEOUT_S", default=15.0, least=0.1, most=3_600)
    """Timeout of one delivery attempt."""
    give_up_after_s: float = setting("BACKWATCH_WEBHOOK_GIVE_UP_AFTER_S", default=6 * 3600.0)
    """Seconds after its first attempt when a delivery is given up."""
    minimum_level: str = setting("BACKWATCH_WEBHOOK_MINIMUM_LEVEL", default="low")
    """Alerts below this level are not delivered: informational, low, medium, high or critical."""
    events_per_hour: int = setting("BACKWATCH_WEBHOOK_EVENTS_PER_HOUR", default=60, least=0, most=1_000_000)
    """Events that an endpoint is sent one by one; the rest is counted in digests. 0: no limit."""
    heartbeat_s: float = setting("BACKWATCH_NOTIFY_HEARTBEAT_S", default=0.0, most=86_400)
    """Interval in seconds of the event ``backwatch.heartbeat``, sent only while detector, router and notify work; its
    absence is the alarm. 0: off."""
    heartbeat_url: str = setting("BACKWATCH_WEBHOOK_HEARTBEAT_URL", default="", secret=True)
    """Endpoint of the heartbeat, for example a dead man's switch; empty: ``BACKWATCH_WEBHOOK_URL``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardSettings:
    """Settings of the dashboard."""

    address: str = setting("BACKWATCH_DASHBOARD_ADDRESS", default="127.0.0.1")
    """Address to listen on. An address that is not loopback needs a proxy with authentication: the settings below."""
    port: int = setting("BACKWATCH_DASHBOARD_PORT", default=8501, least=1, most=65_535)
    """The port to listen on."""
    allowed_hosts: tuple[str, ...] = setting("BACKWATCH_DASHBOARD_ALLOWED_HOSTS", default=())
    """Further names, between commas, that a browser may use for it; others are refused, against DNS rebinding."""
    refresh_s: float = setting("BACKWATCH_DASHBOARD_REFRESH_S", default=2.0, least=0.1)
    """Seconds between two reads of the store by an open page."""
    sessions: int = setting("BACKWATCH_DASHBOARD_SESSIONS", default=64, least=1, most=10_000)
    """Pages that may be open at once, in all browsers; a further one is refused. Each takes 1 to 2 MB."""
    proxy_user_header: str = setting("BACKWATCH_DASHBOARD_PROXY_USER_HEADER", default="")
    """Header in which your proxy passes the authenticated user, for example ``X-Forwarded-User``. With it, each request
    must come through the proxy, and decisions are made in that user's name."""
    proxy_secret: str = setting("BACKWATCH_DASHBOARD_PROXY_SECRET", default="", secret=True)
    """Secret of at least 16 characters that your proxy sends in the header ``X-Backwatch-Proxy-Secret``."""
    trusted_proxies: tuple[str, ...] = setting("BACKWATCH_DASHBOARD_TRUSTED_PROXIES", default=())
    """Addresses or networks of your proxy, between commas, instead of the secret or besides it."""
    open_to_everybody: str = setting(
        "BACKWATCH_DASHBOARD_OPEN_TO_EVERYBODY", default="no", parse=parse_one_of("no", "yes-i-know")
    )
    """``yes-i-know``: serve an address that is not loopback without any login; who reaches it reads all alerts and
    takes decisions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoringSettings:
    """Settings of the monitoring endpoint: ``/metrics``, ``/healthz`` and ``/readyz``."""

    port: int = setting("BACKWATCH_MONITORING_PORT", default=0, most=65_535)
    """Port of the monitoring endpoint of ``detect``, ``notify`` and ``dashboard``; ``up`` takes it for the detector and
    the next two for notify and the dashboard. 0: off."""
    address: str = setting("BACKWATCH_MONITORING_ADDRESS", default="127.0.0.1")
    """Address that the monitoring endpoint listens on. It has no login, and shows counts and no text of alerts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """Settings of the logs of ``detect``, ``notify``, ``dashboard`` and ``up``, on standard error."""

    format: str = setting("BACKWATCH_LOG_FORMAT", default="text", parse=parse_one_of("text", "json"))
    """``json``: one event is one line of ASCII JSON with ``time``, ``level``, ``logger`` and ``message``."""
    level: str = setting("BACKWATCH_LOG_LEVEL", default="info", parse=parse_one_of("debug", "info", "warning", "error"))
    """Events below this level are not logged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """Settings of ``backwatch audit``."""

    password: str = setting("BACKWATCH_AUDIT_PASSWORD", default="", secret=True)
    """Password of the account in the URL of ``backwatch audit``, so that no list of processes shows it."""


ALL = (
    CollectorSettings, StreamSettings, StoreSettings, DetectorSettings, NotifySettings, DashboardSettings,
    MonitoringSettings, LogSettings, AuditSettings,
)  # fmt: skip
"""The settings of all parts."""
