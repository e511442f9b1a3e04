"""Fit the weights that judge statements, print how they generalise, and write their table.

    python -m bench.query_weights --app airports.jsonl.gz --app shop.jsonl.gz --statements statements.jsonl.gz \\
        --payloads payloads.jsonl.gz [--valid valid.jsonl] [--write detector/…/baselines/injection_weights.py]

Each figure is of data that the fit has not seen: one application left out, one source of statements left out. An
application is learned from its training phase; its later records, statements injected with fragments of the payloads,
edits that releases make and injections without a sign are judged, with call sites and without, in full and sanitised.
``--valid`` names statements of public collections that databases accept, as JSON lines with source, dialect and text.
"""

import argparse
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.baselines.injection import SIGNALS
from bench.query_weights.edits import Editor, inject, sanitise
from bench.query_weights.fit import fit_cold, fit_known
from bench.query_weights.learnt_app import LearntApp, learn_app
from bench.query_weights.records import Record, load, read, select_training, text_of

EDITS, FRAGMENTS, FOLDS = 600, 600, 6
HONEST_WEIGHT = 4.0
"""How much an honest statement counts in the cold model for an attack's one."""
ATTACK = 0.5


class Sample(NamedTuple):
    """One judged statement."""

    signals: NDArray[np.float64]
    hostile: bool
    group: str
    source: str
    sanitised: bool


def samples_of_app(records: list[Record], fragments: list[str], source: str) -> list[Sample]:
    """Return the samples of one application, in all four variants."""
    found: list[Sample] = []
    for call_sites in (True, False):
        for sanitised in (False, True):
            drawn = random.Random(1)
            app = learn_app(records, call_sites=call_sites, sanitised=sanitised)

            def judge(
                judged: LearntApp, text: str, site: str, group: str, hostile: bool, sanitised: bool = sanitised
            ) -> None:
                signals = judged.signals(text, site)
                if signals is not None:
                    found.append(Sample(signals, hostile, group, source, sanitised))

            seen: set[tuple[str, str]] = set()
            for record in records:
                text = text_of(record, sanitised=sanitised)
                key = read(text, record["dialect"]).canonical, record["label"]
                if record.get("phase") != "train" and record["kind"] != "stmt_sqlmap_inert" and key not in seen:
                    seen.add(key)
                    judge(app, text, record["tid"], record["kind"], record["label"] == "attack")
            sites = sorted({record["tid"] for record in select_training(records)})
            drawn.shuffle(sites)
            for fold in range(FOLDS):
                held = set(sites[fold::FOLDS])
                rest = learn_app(records, call_sites=call_sites, sanitised=sanitised, without=held)
                for record in select_training(records)[:: max(1, len(records) // 2_000)]:
                    if record["tid"] in held:
                        judge(rest, text_of(record, sanitised=sanitised), record["tid"], "held-out", False)
            editor, learned = Editor.of(records, drawn), select_training(records)
            for _ in range(EDITS):
                record = drawn.choice(learned)
                canonical = read(text_of(record, sanitised=sanitised), record["dialect"]).canonical
                for group, edited in (("honest-edit", editor.honest), ("sign-free-edit", editor.hostile)):
                    text = edited(canonical)
                    if text and text != canonical:
                        judge(app, text, record["tid"], group, group == "sign-free-edit")
            for _ in range(FRAGMENTS if fragments else 0):
                record = drawn.choice(learned)
                text = inject(record["text"], drawn.choice(fragments), drawn)
                changed = (
                    text
                    and read(text, record["dialect"]).canonical != read(record["text"], record["dialect"]).canonical
                )
                if text and changed:
                    judge(app, sanitise(text) if sanitised else text, record["tid"], "fragment", True)
    return found


def samples_of_statements(records: list[Record], group: str) -> list[Sample]:
    """Return single statements, of which nothing is known, in full and sanitised."""
    found: list[Sample] = []
    for record in records:
        app = LearntApp(record["dialect"], call_sites=True)
        for sanitised in (False, True):
            text = text_of(record, sanitised=sanitised) if "text_sanitised" in record else record["text"]
            text = sanitise(text) if sanitised and "text_sanitised" not in record else text
            signals = app.signals(text, "")
            if signals is not None:
                found.append(Sample(signals, record.get("label") == "attack", group, record["source"], sanitised))
    return found


def _arrays(samples: list[Sample]) -> tuple[NDArray[Any], NDArray[Any]]:
    return np.array([sample.signals for sample in samples]), np.array([float(sample.hostile) for sample in samples])


def _by_group(samples: list[Sample]) -> NDArray[Any]:
    """Return weights with which each group of each application counts the same."""
    sizes = Counter((sample.hostile, sample.group, sample.source) for sample in samples)
    groups = Counter(hostile for hostile, _, _ in sizes)
    return np.array([1_000 / groups[s.hostile] / sizes[s.hostile, s.group, s.source] for s in samples])


def _by_source(samples: list[Sample]) -> NDArray[Any]:
    """Return weights with which a source counts by the square root of its size."""
    sizes = Counter((sample.hostile, sample.source) for sample in samples)
    weight = np.array([1 / np.sqrt(sizes[sample.hostile, sample.source]) for sample in samples])
    hostile = np.array([sample.hostile for sample in samples])
    for side, total in ((True, 1_500.0), (False, 1_500.0 * HONEST_WEIGHT)):
        weight[hostile == side] *= total / weight[hostile == side].sum()
    return weight


def _probability(samples: list[Sample], weights: NDArray[Any], bias: float, cap: float) -> NDArray[Any]:
    x, _ = _arrays(samples)
    return 1.0 / (1.0 + np.exp(-np.clip(np.minimum(x, cap) @ weights + bias - 0.2, -50, 50)))


def _report(title: str, samples: list[Sample], probability: NDArray[Any]) -> None:
    for group in sorted({sample.group for sample in samples}):
        for hostile in (True, False):
            rows = [i for i, s in enumerate(samples) if s.group == group and s.hostile == hostile]
            if rows:
                share = float((probability[rows] >= ATTACK).mean())
                print(f"{title:28} {group:22} {'recall' if hostile else 'false ':7} {share:.4f} of {len(rows)}")


def _write(path: Path, known: tuple[NDArray[Any], float], cold: tuple[NDArray[Any], float]) -> None:
    pairs = zip(SIGNALS, known[0], cold[0], strict=True)
    rows = [f'    "{name}": ({a:.2f}, {b:.2f}),' for name, a, b in pairs if abs(a) >= 0.005 or abs(b) >= 0.005]
    text = path.read_text()
    start, end = text.index("= {\n") + 4, text.index("}\n")
    text = text[:start] + "\n".join(rows) + "\n" + text[end:]
    for name, bias in (("KNOWN_BIAS", known[1]), ("COLD_BIAS", cold[1])):
        line = next(line for line in text.splitlines() if line.startswith(f"{name}:"))
        text = text.replace(line, f"{name}: Final = {bias:.2f}")
    path.write_text(text)


def main() -> None:
    """Run the fit and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--app", type=Path, action="append", required=True, help="a labelled stream of one application")
    parser.add_argument("--statements", type=Path, required=True, help="labelled single statements")
    parser.add_argument("--payloads", type=Path, help="fragments of injections")
    parser.add_argument("--valid", type=Path, help="statements that databases accept")
    parser.add_argument("--write", type=Path, help="the table of weights")
    options = parser.parse_args()
    fragments = [record["text"] for record in load(options.payloads)] if options.payloads else []
    apps = {path.name: samples_of_app(load(path), fragments, path.name) for path in options.app}
    for name, samples in apps.items():
        rest = [sample for other, found in apps.items() if other != name for sample in found]
        if rest:
            _report(
                f"without {name}", samples, _probability(samples, *fit_known(*_arrays(rest), _by_group(rest)), 10.0)
            )
    single = samples_of_statements(load(options.statements), "statement")
    single += samples_of_statements(load(options.valid), "valid statement") if options.valid else []
    probability = np.zeros(len(single))
    for source in sorted({sample.source for sample in single}):
        rows = np.array([sample.source == source for sample in single])
        rest = [sample for sample in single if sample.source != source]
        left = [sample for sample in single if sample.source == source]
        probability[rows] = _probability(left, *fit_cold(*_arrays(rest), _by_source(rest)), 1.0)
    for sanitised in (False, True):
        rows = [i for i, sample in enumerate(single) if sample.sanitised == sanitised]
        title = "cold, each source left out"
        _report(f"{title}{', sanitised' if sanitised else ''}", [single[i] for i in rows], probability[rows])
    if options.write:
        everything = [sample for samples in apps.values() for sample in samples]
        known = fit_known(*_arrays(everything), _by_group(everything))
        _write(options.write, known, fit_cold(*_arrays(single), _by_source(single)))
        print(f"written: {options.write}", file=sys.stderr)


if __name__ == "__main__":
    main()
