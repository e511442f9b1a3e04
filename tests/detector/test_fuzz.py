"""Thousands of hostile messages: no crash, no stall, and no read outside of a message."""

import subprocess
import sys
import textwrap
import time

import pytest

from backwatch.detector.decoding import schema
from backwatch.detector.decoding.decoder import decode
from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.step import Engine, EngineConfig
from backwatch.detector.ingest.routing import MAX_GROWTH, MAX_MESSAGE_BYTES, route
from tests.detector import floods
from tests.detector.fuzzing import Report, fuzz_router, fuzz_step
from tests.detector.ingest import otlp_mutator

CHILD = textwrap.dedent("""
    from tests.detector.fuzzing import fuzz_decoder
    from tests.detector.ingest.otlp_mutator import corpus
    report = fuzz_decoder(corpus(300, largest=8_000), 100_000, 7)
    assert report.unexpected == {}, report
    print(report.refused)
""")
OVERREAD = textwrap.dedent("""
    from tests.detector.fuzzing import GuardedPages
    area = GuardedPages(1)
    print("alive", flush=True)
    from backwatch.detector.kernels.memory import address_of, load8
    from backwatch.detector.kernels.compiled import kernel
    @kernel
    def over(array, at):
        return load8(address_of(array) + at)
    over(area.whole, area.high - 1)
    print("inside", flush=True)
    over(area.whole, area.{edge})
""")


@pytest.fixture(scope="module")
def engine() -> Engine:
    return make_engine(EngineConfig(key=bytes(16)))


def run(code: str, *given: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *given]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_mutants_beside_guard_pages_are_decoded_or_refused() -> None:
    done = run(CHILD)
    assert done.returncode == 0, done.stderr
    assert 10_000 < int(done.stdout) < 100_000


@pytest.mark.parametrize("edge", ["high", "low - 1"])
def test_read_beyond_a_guard_page_ends_the_process(edge: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without a working guard, the test above could not fail."""
    path = tmp_path_factory.mktemp("guard") / "overread.py"
    path.write_text(OVERREAD.format(edge=edge))
    done = run("import runpy, sys; runpy.run_path(sys.argv[1])", str(path))
    assert done.stdout.split() == ["alive", "inside"], done.stderr
    assert done.returncode < 0


def check_report(report: Report, messages: int) -> None:
    assert (report.messages, report.unexpected) == (messages, {})
    assert 0 < report.refused < messages
    assert report.calls > 0


def test_mutants_are_routed_within_their_bounds() -> None:
    check_report(fuzz_router(otlp_mutator.corpus(300, 2), 3_000, 2), 3_000)


def test_mutants_raise_nothing_in_a_step(engine: Engine) -> None:
    check_report(fuzz_step(otlp_mutator.corpus(300, 3), 3_000, 3, engine), 3_000)


def test_mutator_reads_and_writes_its_seeds_unchanged() -> None:
    for seed in otlp_mutator.seeds():
        assert seed == otlp_mutator.serialize(otlp_mutator.parse(seed))
        assert decode([seed]).malformed == []


@pytest.mark.parametrize("name", floods.bombs())
def test_bomb_costs_below_a_second_and_bounded_memory(name: str, engine: Engine) -> None:
    value = floods.bombs()[name]
    route(value[:100])
    shard = engine.new_shard()
    engine.step(shard, floods.entry([floods.record(schema.TEXTS[0], 0, 3), value[:50]]))
    begun = time.thread_time()
    messages = route(value)
    routed_s = time.thread_time() - begun
    assert sum(len(message.value) for message in messages) <= 2 * (MAX_GROWTH * len(value) + MAX_MESSAGE_BYTES)
    findings = engine.step(shard, floods.entry([value], 2))
    spent_s = time.thread_time() - begun - routed_s
    assert max(routed_s, spent_s) < 1, f"{routed_s:.2f} s to route, {spent_s:.2f} s to step"
    assert findings.faults == []
    if "small calls" in name or "empty spans" in name or "text for each" in name:
        assert any(decode([message.value]).malformed for message in messages), "a bomb is a loss"


@pytest.mark.parametrize("name", [schema.TEXTS[4], "server.address"])
def test_time_is_linear_in_the_number_of_distinct_values(name: str, engine: Engine) -> None:
    floods.flood(engine, name, 1_001)
    few, many = (min(floods.flood(engine, name, count) for _ in range(3)) for count in (2_000, 8_000))
    assert many < 4 * 3 * few
