"""What goes over FTP's data connections: counted as it is handed over, because they are closed before the call ends."""

from collections.abc import Callable
from typing import Any, ClassVar

from backwatch.collector.payload.formats import Facts
from backwatch.collector.probes.families.lines.calls import Begun, Function, LineWatch, Make
from backwatch.collector.redaction import lines as redact
from backwatch.collector.runtime.guard import never_breaks_the_host


class Transfer:
    """One file or list on its way.

    Attributes:
        METHODS: Functions of ``ftplib.FTP`` by which data go, and where the callback stands among their arguments.
    """

    METHODS: ClassVar[dict[str, int]] = {"retrbinary": 1, "retrlines": 1, "storbinary": 3, "storlines": 2}

    __slots__ = ("bytes", "lines", "theirs")

    def __init__(self, theirs: Callable[[Any], Any] | None) -> None:
        self.theirs = theirs
        self.bytes = 0
        self.lines = 0

    def block(self, data: Any) -> None:
        """A block came or went."""
        self._count(data, 0)
        if self.theirs is not None:
            self.theirs(data)

    def line(self, line: Any) -> None:
        """A line came, without its end."""
        self._count(line, 2)
        if self.theirs is not None:
            self.theirs(line)

    @never_breaks_the_host
    def _count(self, data: Any, end: int) -> None:
        self.bytes += len(data) + end
        self.lines += 1


def transferring(
    watch: LineWatch, name: str, callback_at: int, target_facts: Callable[[LineWatch, Any], Facts]
) -> Make:
    """Wraps one of ``Transfer.METHODS``."""
    stores, by_line = name.startswith("stor"), name == "retrlines"

    @never_breaks_the_host
    def ended(client: Any, begun: Begun, cmd: Any, moved: Transfer, error: BaseException | None) -> None:
        rows = moved.lines if by_line and error is None and begun.link.busy != "RETR" else -1
        size = (moved.bytes, 0) if stores else (0, moved.bytes)
        facts = target_facts(watch, client)
        watch.ended(client, begun, error, redact.redact_ftp(cmd)[1], rows=rows, moved=size, facts=facts)

    def make(original: Function) -> Function:
        def transferred(client: Any, cmd: Any, *args: Any, **options: Any) -> Any:
            begun = watch.begin(client, _verb(cmd) or "?")
            if begun is None:
                return original(client, cmd, *args, **options)
            moved, args, options = _with_callback(by_line, callback_at - 1, args, options)
            try:
                result = original(client, cmd, *args, **options)
            except BaseException as error:
                ended(client, begun, cmd, moved, error)
                raise
            ended(client, begun, cmd, moved, None)
            return result

        return transferred

    return make


@never_breaks_the_host
def _verb(cmd: Any) -> str:
    return redact.redact_ftp(cmd)[0]


def _with_callback(
    by_line: bool, at: int, args: tuple[Any, ...], options: dict[str, Any]
) -> tuple[Transfer, tuple[Any, ...], dict[str, Any]]:
    """The arguments with a callback that counts, and then calls the app's own."""
    theirs = args[at] if len(args) > at else options.get("callback")
    if by_line and theirs is None:
        theirs = print  # as the library does
    moved = Transfer(theirs)
    if theirs is not None and not callable(theirs):
        return moved, args, options  # the library's own error is the app's to see
    if theirs is None and at == 0 and not by_line:
        return moved, args, options  # likewise: it cannot do without
    ours = moved.line if by_line else moved.block
    if len(args) > at:
        return moved, (*args[:at], ours, *args[at + 1 :]), options
    return moved, args, {**options, "callback": ours}
