"""The ``backwatch`` command. Other members add their sub-commands by entry point ``backwatch.commands``.

Exit codes, the same for every sub-command: 0 done, 1 failed, 2 wrong usage, 3 a part does not work
(``db status --check``), 69 stream or store not reachable, 74 input or output failed (disk full), 78 wrong setting, 130
and 143 on signals.
"""

import errno
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points, version

import click

from backwatch.collector import settings

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNHEALTHY = 3
EXIT_UNAVAILABLE = 69
EXIT_IO = 74
EXIT_SETTING = 78
_OF_FILES = (
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR,
    errno.EISDIR, errno.EIO,
)  # fmt: skip


class Unavailable(click.ClickException):
    """A stream or store does not respond. The message names the setting and the address, never a secret."""

    exit_code = EXIT_UNAVAILABLE


class InputOutputFailed(click.ClickException):
    """The disk is full, or a file cannot be read or written."""

    exit_code = EXIT_IO


class WrongSetting(click.ClickException):
    """A setting that cannot be used."""

    exit_code = EXIT_SETTING


def _make_placeholder(name: str, reason: str) -> click.Command:
    """Return a placeholder for a sub-command that cannot be loaded, so that the others and ``--help`` work."""

    @click.pass_context
    def fail(ctx: click.Context) -> None:
        raise click.ClickException(f"{ctx.command_path} cannot be loaded: {reason}")

    context_settings = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(name, callback=fail, short_help="(not available here)", context_settings=context_settings)


class _Commands(click.Group):
    """A group that finds sub-commands by entry point, so that a member adds one without a change here."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(
            {*super().list_commands(ctx), *(point.name for point in entry_points(group="backwatch.commands"))}
        )

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        for point in entry_points(group="backwatch.commands", name=cmd_name):
            try:
                return point.load()
            except (ImportError, AttributeError) as error:
                return _make_placeholder(cmd_name, str(error))
        return None

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except settings.SettingError as error:
            raise WrongSetting(str(error)) from None
        except BrokenPipeError:
            raise  # the reader of the output has closed it, as ``head`` does: no message
        except ConnectionError as error:  # of a stream, a store, or the system
            raise (InputOutputFailed if error.errno == errno.ENOSPC else Unavailable)(str(error)) from None
        except OSError as error:
            if error.errno in _OF_FILES:
                where = f": {error.filename}" if error.filename else ""
                raise InputOutputFailed(f"{error.strerror}{where}") from None
            raise


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("backwatch-collector"), prog_name="backwatch")
def main() -> None:
    """Watch the backing services that your app attaches.

    \b
    Examples:
      backwatch demo                      watch real attacks on loopback being caught
      backwatch up                        stream, detector, notify and dashboard on this machine
      backwatch run -- python app.py      run your app under watch, with no code change
      backwatch replay spans.jsonl        judge a recorded history
    """
    unknown = settings.unknown_names(settings.names_of(*settings.ALL))
    if unknown and "run" not in sys.argv[1:2]:
        raise WrongSetting(settings.describe_unknown(unknown[0]))
    _configure_logs(click.get_current_context().invoked_subcommand or "")


def _configure_logs(command: str) -> None:
    """Configure the logs of a command that keeps running; never those of an app, which ``run`` executes."""
    if command in ("detect", "notify", "dashboard", "up") and "--help" not in sys.argv:
        from backwatch.collector.console import logs

        logs.configure(settings.load(settings.LogSettings), command)


@main.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(command: Sequence[str]) -> None:
    """Run COMMAND under watch: backwatch run -- python app.py.

    Nothing in the app is changed. It works beside the app's own OpenTelemetry SDK or without one.
    """
    from backwatch.collector.bootstrap.start import run_command

    run_command(list(command))


@main.command(short_help="Lists the client libraries that are watched, and their facts.")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON array of all.")
def probes(name: str | None, *, as_json: bool) -> None:
    """List the client libraries that are watched; with the NAME of one, the facts that it gives.

    \b
    Examples:
      backwatch probes
      backwatch probes psycopg
    """
    from backwatch.collector.console import probe_list
    from backwatch.collector.probes import discover

    found = list(discover())
    if as_json:
        click.echo(probe_list.format_json(found))
    elif name:
        click.echo(probe_list.format_facts(found, name))
    else:
        click.echo(probe_list.format_overview(found))


@main.command(short_help="Shows what of an app is watched, what is not, and why.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array of all.")
@click.pass_context
def doctor(context: click.Context, *, as_json: bool) -> None:
    """Show what of the apps of this environment is watched, what is not, and why.

    Looks at the settings, the installed client libraries (without a probe, outside of the range, without facts about
    TLS), whether the stream responds, and, where the store is installed, at processes that are silent or deliver
    nothing.

    \b
    Examples:
      backwatch doctor
      backwatch doctor --json

    \b
    Exit codes: 0 no fault, 3 faults, 78 wrong setting.
    """
    from backwatch.collector.console import doctor as diagnosing

    found = diagnosing.diagnose()
    click.echo(diagnosing.format_json(found) if as_json else diagnosing.format_text(found))
    if any(one.status == diagnosing.FAULT for one in found):
        context.exit(EXIT_UNHEALTHY)
