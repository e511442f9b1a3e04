"""The ``backwatch`` command: its help and its errors."""

import json
from importlib.metadata import EntryPoint

import pytest
from click.testing import CliRunner

from backwatch.collector import cli
from backwatch.collector.stream import StreamUnavailable


@pytest.fixture
def runner() -> CliRunner:
    return CliRunner()


def broken_commands(group: str, name: str = "") -> list[EntryPoint]:
    found = [EntryPoint("gone", "backwatch.no_such_module:main", group)]
    return [one for one in found if not name or one.name == name]


def test_help_omits_sub_commands_of_missing_members(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "entry_points", broken_commands)
    result = runner.invoke(cli.main, ["--help"])
    assert result.exit_code == 0
    assert "gone" in result.output
    assert "not available here" in result.output
    failed = runner.invoke(cli.main, ["gone", "--anything", "x"])
    assert failed.exit_code == cli.EXIT_FAILED
    assert "backwatch.no_such_module" in failed.output
    assert len(failed.output.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StreamUnavailable("BACKWATCH_STREAM_URL='kafka://db:1': no"), cli.EXIT_UNAVAILABLE),
        (OSError(28, "No space left on device", "/var/x"), cli.EXIT_IO),
    ],
)
def test_unreachable_target_is_one_line_and_an_exit_code(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch, error: OSError, code: int
) -> None:
    def fail(_argv: list[str]) -> None:
        raise error

    monkeypatch.setattr("backwatch.collector.bootstrap.start.run_command", fail)
    failed = runner.invoke(cli.main, ["run", "x"])
    assert failed.exit_code == code
    assert len(failed.output.splitlines()) == 1


def test_an_unknown_setting_is_refused_by_name(runner: CliRunner) -> None:
    failed = runner.invoke(cli.main, ["probes"], env={"BACKWATCH_STRAEM_URL": "kafka://x"})
    assert failed.exit_code == cli.EXIT_SETTING
    assert "BACKWATCH_STRAEM_URL='kafka://x'" in failed.output


def test_probe_list_shows_installed_versions_and_facts(runner: CliRunner) -> None:
    listed = json.loads(runner.invoke(cli.main, ["probes", "--json"]).output)
    lines = runner.invoke(cli.main, ["probes"]).output.splitlines()
    assert {"psycopg", "sqlite3", "redis"} <= {one["name"] for one in listed}
    assert len(lines) == len(listed) + 1
    for one, line in zip(listed, lines[1:], strict=True):
        assert line.split()[0] == one["name"]
        assert line.split()[-1] == str(len(one["facts"]))
        assert one["installed"] in line
        result = runner.invoke(cli.main, ["probes", one["name"]]).output.partition("\n\n")[0].split()
        assert result == one["facts"] == sorted(one["facts"])


def test_a_probe_that_does_not_exist_is_refused_by_name(runner: CliRunner) -> None:
    failed = runner.invoke(cli.main, ["probes", "psycopg9"])
    assert failed.exit_code != 0
    assert "'psycopg9': no such probe" in failed.output
