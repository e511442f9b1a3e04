"""Transfers over FTP's data connections. Callbacks count the bytes: the socket is closed before the call ends."""

from collections.abc import Callable
from typing import Any, ClassVar

from backwatch.collector.runtime.guard import never_breaks_the_host


class Transfer:
    """One file or list on its way.

    Attributes:
        METHODS: Functions of ``ftplib.FTP`` that transfer data, and the callback's position among their arguments.
        by_line: It is a list of lines that the app gets.
        stores: Data go to the server.
    """

    METHODS: ClassVar[dict[str, int]] = {"retrbinary": 1, "retrlines": 1, "storbinary": 3, "storlines": 2}

    __slots__ = ("by_line", "bytes", "callback", "lines", "stores")

    def __init__(self, method: str, callback: Callable[[Any], Any] | None) -> None:
        self.by_line = method == "retrlines"
        self.stores = method.startswith("stor")
        self.callback = print if self.by_line and callback is None else callback  # as the library does
        self.bytes = 0
        self.lines = 0

    def on_block(self, data: Any) -> None:
        """Count a block that came or went, and call the app's callback."""
        self._count(data, 0)
        if self.callback is not None:
            self.callback(data)

    def on_line(self, line: Any) -> None:
        """Count a line that came, without its end, and call the app's callback."""
        self._count(line, 2)
        if self.callback is not None:
            self.callback(line)

    @never_breaks_the_host
    def _count(self, data: Any, end: int) -> None:
        self.bytes += len(data) + end
        self.lines += 1


def replace_callback(
    method: str, position: int, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Transfer, tuple[Any, ...], dict[str, Any]]:
    """Return the arguments with a callback that counts, and then calls the app's own.

    Args:
        position: The callback's among the arguments after the command.
    """
    transfer = Transfer(method, args[position] if len(args) > position else kwargs.get("callback"))
    if transfer.callback is not None and not callable(transfer.callback):
        return transfer, args, kwargs  # the library's own error is for the app
    if transfer.callback is None and position == 0 and not transfer.by_line:
        return transfer, args, kwargs  # likewise: it requires a callback
    counting = transfer.on_line if transfer.by_line else transfer.on_block
    if len(args) > position:
        return transfer, (*args[:position], counting, *args[position + 1 :]), kwargs
    return transfer, args, {**kwargs, "callback": counting}
