"""The standard library's ftplib: FTP, and FTP over TLS (explicit), with the data connections."""

from typing import Any

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.lines.state import LINE_FACTS
from backwatch.collector.probes.ftplib.observer import FtpCallObserver
from backwatch.collector.probes.ftplib.transfers import Transfer, replace_callback
from backwatch.collector.probes.toolkit.hooks import Decorator, Function, call_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe


def wrap_transfer(observer: FtpCallObserver, method: str, position: int) -> Decorator:
    """Wrap one of ``Transfer.METHODS``, whose callback is replaced by one that counts."""

    def decorate(original: Function) -> Function:
        def transfer(client: Any, cmd: Any, *args: Any, **kwargs: Any) -> Any:
            call = observer.begin(client, cmd)
            if call is None:
                return original(client, cmd, *args, **kwargs)
            moved, args, kwargs = replace_callback(method, position - 1, args, kwargs)
            try:
                result = original(client, cmd, *args, **kwargs)
            except BaseException as error:
                observer.end_transfer(client, call, moved, error)
                raise
            observer.end_transfer(client, call, moved, None)
            return result

        return transfer

    return decorate


class FtplibProbe(PatchingProbe[FtpCallObserver]):
    """Files that the app fetches and stores."""

    name = "ftplib"
    module = "ftplib"
    label = "ftplib"
    service_kind = "Mail, files, directories"
    distributions = ()
    facts = LINE_FACTS | {names.BYTES_ESTIMATED, names.ROWS_RETURNED, names.REDIRECT_TARGET}

    def install(self, recorder: Recorder) -> None:
        """Wrap ``ftplib.FTP``, which the class for TLS inherits from."""
        import ftplib

        self._patches = patches = Patches()
        self._observer = observer = FtpCallObserver(recorder)
        command_hook = call_hook(observer.on_command, observer.on_command_end)
        patches.wrap(ftplib.FTP, "connect", observer.connect_hook())
        patches.wrap(ftplib.FTP, "login", call_hook(observer.on_login, observer.on_login_end))
        patches.wrap(ftplib.FTP, "sendcmd", command_hook)
        patches.wrap(ftplib.FTP, "voidcmd", command_hook)
        patches.wrap(ftplib.FTP, "ntransfercmd", call_hook(observer.on_command, observer.on_open_data_end))
        for method, position in Transfer.METHODS.items():
            patches.wrap(ftplib.FTP, method, wrap_transfer(observer, method, position))
        with_tls = getattr(ftplib, "FTP_TLS", None)
        if with_tls is not None:
            patches.wrap(with_tls, "ntransfercmd", call_hook(observer.on_command, observer.on_open_tls_data_end))
            patches.wrap(with_tls, "auth", observer.starttls_hook(lambda client, _args, _kwargs: client.context))
