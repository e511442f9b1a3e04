"""Redis and Valkey: an account's ACL against the commands, keys and channels that its app used."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from backwatch.detector.audit.model import (
    Audit,
    AuditUnavailable,
    Calls,
    Grant,
    Power,
    PowerLevel,
    ScriptLine,
    SeenCall,
    Target,
    WrongTarget,
)
from backwatch.detector.audit.quoting import escape_line, is_plain, quote_shell
from backwatch.detector.audit.redis_needs import ANY, derive_needs
from backwatch.detector.privileges import Auditor, import_driver, sort_proofs, translate_malformed

MAX_COMMANDS: Final = 5_000
MAX_RULES: Final = 5_000
MAX_LISTED: Final = 30
"""Commands that are listed one by one; more of them become one line."""
_OPTIONS: Final = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
_COMMAND: Final = re.compile(r"[a-z][a-z0-9_.-]{0,40}(?:\|[a-z0-9_.-]{1,40})?")
_POWERS: Final[dict[str, tuple[PowerLevel, str]]] = {
    "acl|setuser": ("critical", "makes itself administrator, and creates accounts"),
    "config|set": ("critical", "writes files on the server's machine by other settings"),
    "module|load": ("critical", "runs programs in the server"),
    "module|loadex": ("critical", "runs programs in the server"),
    "debug": ("high", "stops the server"),
    "replicaof": ("high", "replaces all data by another server's"),
    "slaveof": ("high", "replaces all data by another server's"),
    "migrate": ("high", "sends data to another server"),
    "flushall": ("high", "deletes everything"),
    "flushdb": ("high", "deletes a whole database"),
    "shutdown": ("high", "stops the server"),
    "monitor": ("high", "reads every command of every app"),
    "client|kill": ("medium", "ends other accounts' sessions"),
    "config|get": ("medium", "reads the server's settings, passwords too"),
    "script|flush": ("low", "removes the scripts of other apps"),
    "function|load": ("medium", "adds code that other apps run"),
    "keys": ("low", "lists every key, and blocks the server meanwhile"),
}


@dataclass(slots=True)
class Rights:
    """What a user of the ACL may do.

    Attributes:
        commands: The commands that it may run, of those that the server names.
        known: Categories of each command.
        access: R, W or RW by command, for its keys.
    """

    server: str = ""
    flags: frozenset[str] = frozenset()
    commands: frozenset[str] = frozenset()
    known: dict[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    access: dict[str, str] = field(default_factory=dict[str, str])
    keys: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    has_everything: bool = False


class Redis(Auditor):
    """Redis 6 and newer, Valkey."""

    schemes = ("redis", "rediss", "valkey", "valkeys")
    systems = ("redis", "valkey")
    port = 6379
    language = "a shell's, with redis-cli"
    example = "redis://shop@cache.example.com:6379/0"

    def audit(self, target: Target, seen: Calls, new_account: str) -> Audit:
        """Read the user's rules and compare them."""
        account = target.account or "default"
        driver = import_driver("redis", "redis")
        with translate_malformed(target):
            rights = _read(driver, target, account)
        return compare(rights, account, seen, new_account)


def compare(rights: Rights, account: str, seen: Calls, new_account: str) -> Audit:
    """Compare what the rules of the ACL allow with what the calls needed."""
    found = Audit(system="redis", account=account, server=rights.server, comment="#")
    needs = _Needs(rights)
    for call in seen:
        needs.add(call)
    found.powers = sorted(_list_powers(rights))
    found.unused = sorted(_list_unused(rights, needs))
    found.script = _write_script(needs, rights, seen, new_account, found.notes)
    found.notes += sorted(needs.notes)
    return found


def _read(driver: Any, target: Target, account: str) -> Rights:
    unknown = sorted(set(target.options) - _OPTIONS)
    if unknown:
        raise WrongTarget(f"URL: the option {unknown[0][:40]!r} is not known; known: {', '.join(sorted(_OPTIONS))}")
    uses_tls = target.scheme in ("rediss", "valkeys")
    once = driver.retry.Retry(driver.backoff.NoBackoff(), 0)
    client = driver.Redis(
        host=target.host, port=target.port, username=target.user or None, password=target.password or None,
        socket_timeout=target.timeout_s, socket_connect_timeout=target.timeout_s, decode_responses=True, retry=once,
        encoding_errors="replace", ssl=uses_tls, **(target.options if uses_tls else {}),
    )  # fmt: skip
    try:
        with client:
            rights = Rights(server=str(client.info("server").get("redis_version", ""))[:60])
            user = client.execute_command("ACL", "GETUSER", account)
            _read_commands(rights, client.execute_command("COMMAND"))
    except driver.ResponseError as error:
        reason = str(error).replace(target.password, "***") if target.password else str(error)
        raise AuditUnavailable(
            f"URL {target.shown}: {reason}; reading rights needs +acl|getuser, +command and +info: pass an "
            "administrator's URL, and the app's account by --account"
        ) from None
    except (driver.RedisError, OSError) as error:
        reason = str(error).replace(target.password, "***") if target.password else str(error)
        raise AuditUnavailable(f"URL {target.shown}: {reason}") from None
    if not isinstance(user, Mapping):
        raise WrongTarget(f"--account: the server knows no user {account[:63]!r}")
    apply_user(rights, user)
    return rights


def _read_commands(rights: Rights, described: object) -> None:
    if not isinstance(described, Mapping):
        raise AuditUnavailable("URL: the server describes its commands in a form that is not known")
    waiting: list[Any] = list(described.values())[:MAX_COMMANDS]  # pyright: ignore[reportUnknownArgumentType]
    while waiting and len(rights.known) < MAX_COMMANDS:
        command = waiting.pop()
        if not isinstance(command, Mapping):
            continue
        name = str(command.get("name", "")).lower()
        if not _COMMAND.fullmatch(name):
            continue
        categories = command.get("acl_categories") or ()
        rights.known[name] = frozenset(str(category).lower().lstrip("@") for category in categories)
        rights.access[name] = _to_access(command.get("key_specifications") or ())
        subcommands = command.get("subcommands") or ()
        waiting += [_to_mapping(each) for each in subcommands][:MAX_COMMANDS]


def _to_mapping(command: Any) -> Any:
    """Return a sub-command in the form of a command: the driver reads commands only."""
    if isinstance(command, Sequence) and not isinstance(command, str) and len(command) >= 7:
        return {"name": command[0], "acl_categories": command[6], "key_specifications": command[8:9] and command[8]}
    return command


def _to_access(specifications: Any) -> str:
    flags: set[str] = set()
    for specification in specifications:
        pairs: Any = specification
        if isinstance(specification, Sequence) and not isinstance(specification, str):
            pairs = dict(zip(specification[::2], specification[1::2], strict=False))
        found = pairs.get("flags", ()) if isinstance(pairs, Mapping) else ()
        flags |= {str(flag).lower() for flag in found}
    reads, writes = "access" in flags, bool(flags & {"insert", "delete", "update"})
    return "R" * reads + "W" * writes


def apply_user(rights: Rights, user: Mapping[Any, Any]) -> None:
    """Read what a user of the ACL may do, by the reply of ``ACL GETUSER``."""
    rights.flags = frozenset(map(str, user.get("flags") or ()))
    selectors: list[Mapping[Any, Any]] = [
        user,
        *(each for each in user.get("selectors") or () if isinstance(each, Mapping)),
    ]
    for selector in selectors:
        allowed = _allow(rights, _words(selector.get("commands")) + _words(selector.get("categories")))
        rights.commands |= allowed
        rights.keys |= frozenset(_words(selector.get("keys")))
        rights.channels |= frozenset(_words(selector.get("channels")))
    rights.has_everything = len(rights.commands) == len(rights.known)


def _words(rules: object) -> list[str]:
    if isinstance(rules, str):
        return rules.split()[:MAX_RULES]
    if isinstance(rules, Sequence):
        return [str(rule) for rule in rules][:MAX_RULES]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return []


def _allow(rights: Rights, rules: Iterable[str]) -> frozenset[str]:
    allowed: set[str] = set()
    for rule in rules:
        sign, name = rule[:1], rule[1:].lower()
        if name.startswith("@"):
            chosen = {each for each, of in rights.known.items() if name == "@all" or name[1:] in of}
        else:
            chosen = {each for each in rights.known if each == name or each.startswith(f"{name}|")}
        allowed = allowed | chosen if sign == "+" else allowed - chosen if sign == "-" else allowed
    return frozenset(allowed)


def _list_powers(rights: Rights) -> Iterable[Power]:
    if "nopass" in rights.flags:
        yield Power("critical", "nopass", "no password is needed: everybody who reaches the server is this account")
    for command, (level, why) in _POWERS.items():
        if command in rights.commands:
            yield Power(level, f"+{command}", why)


class _Needs:
    """The commands, keys and channels that the calls need, with the calls that prove each."""

    def __init__(self, rights: Rights) -> None:
        self._rights = rights
        self.commands: dict[str, set[SeenCall]] = {}
        self.keys: dict[tuple[str, str], set[SeenCall]] = {}
        self.channels: dict[str, set[SeenCall]] = {}
        self.notes: set[str] = set()

    def add(self, call: SeenCall) -> None:
        """Add what one call needs."""
        if call.operation == "connect":
            if call.namespace not in ("", "0"):
                self.commands.setdefault("select", set()).add(call)
            return
        for need in derive_needs(call.statement, call.operation):
            if need.command not in self._rights.known:
                self.notes.add(f"command {escape_line(need.command)} is none that the server names; not in the script")
                continue
            self.commands.setdefault(need.command, set()).add(call)
            access = self._rights.access.get(need.command) or "RW"
            if need.command == "set":
                access = "RW" if " GET" in call.statement else "W"
            for pattern in need.keys:
                for letter in access:
                    self.keys.setdefault((pattern, letter), set()).add(call)
                if pattern == ANY:
                    self.notes.add(f"{need.command}: the prefix of its keys is not recorded, so all keys are granted")
            for channel in need.channels:
                self.channels.setdefault(channel, set()).add(call)
            if need.has_code:
                self.notes.add(f"{need.command} runs a script: grant the commands that the script calls, too")


def _list_unused(rights: Rights, needs: _Needs) -> Iterable[Grant]:
    unused = sorted(
        command for command in rights.commands - needs.commands.keys()
        if not any(other.startswith(f"{command}|") for other in rights.known)
    )  # fmt: skip
    if len(unused) <= MAX_LISTED:
        yield from (Grant(f"+{command}", "command") for command in unused)
    else:
        yield Grant(f"{len(unused)} commands", "command", (", ".join(unused[:8]) + ", …",))
    for pattern in sorted(rights.keys):
        if not any(_overlaps(_strip(pattern), key) for key, _ in needs.keys):
            yield Grant("keys", "pattern", (pattern,))
        elif _strip(pattern) == ANY and not any(key == ANY for key, _ in needs.keys):
            yield Grant("all keys", "pattern", (pattern,))
    for pattern in sorted(rights.channels):
        if not any(_overlaps(_strip(pattern), channel) for channel in needs.channels):
            yield Grant("channels", "pattern", (pattern,))


def _strip(pattern: str) -> str:
    return re.sub(r"^(?:%R?W?)?[~&]", "", pattern)


def _overlaps(granted: str, needed: str) -> bool:
    first, second = (re.split(r"[*?\[\\]", pattern)[0] for pattern in (granted, needed))
    return first.startswith(second) or second.startswith(first)


def _write_script(needs: _Needs, rights: Rights, seen: Calls, new_account: str, notes: list[str]) -> list[ScriptLine]:
    if not seen:
        return []
    head = f"redis-cli ACL SETUSER {quote_shell(new_account)}"
    if not is_plain(new_account) or " " in new_account:
        raise WrongTarget("--as: a user's name has no space")
    notes.append("the new user is off: redis-cli ACL SETUSER NAME on '>PASSWORD', then ACL SAVE")
    rules = [(f"+{command}", needs.commands[command]) for command in sorted(needs.commands)]
    major = rights.server.split(".")[0]
    for letters, pattern in _merge(needs.keys, exact=major.isdigit() and int(major) >= 7):
        calls = set[SeenCall]().union(*(needs.keys.get((pattern, letter), set()) for letter in "RW"))
        rules.append((f"%{letters}~{pattern}" if letters != "RW" else f"~{pattern}", calls))
    channels = [ANY] if ANY in needs.channels else sorted(needs.channels)
    rules += [(f"&{channel}", needs.channels[channel]) for channel in channels]
    lines = [ScriptLine(f"{head} {quote_shell(rule)}", sort_proofs(seen, calls)) for rule, calls in rules]
    return [ScriptLine(f"{head} reset off resetchannels"), *lines]


def _merge(keys: Iterable[tuple[str, str]], *, exact: bool) -> list[tuple[str, str]]:
    """Return letters and pattern of each rule; what a wider rule covers is left out."""
    access: dict[str, set[str]] = {}
    for pattern, letter in keys:
        access.setdefault(pattern, set()).update(letter if exact else "RW")
    everywhere = access.get(ANY, set())
    found = [("".join(sorted(letters - everywhere)), pattern) for pattern, letters in access.items() if pattern != ANY]
    rules = [(letters, pattern) for letters, pattern in found if letters]
    return sorted([*rules, *([("".join(sorted(everywhere)), ANY)] if everywhere else [])], key=lambda rule: rule[::-1])
