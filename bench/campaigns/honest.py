"""The honest stream: what readers and staff do, before a release and after."""

from collections.abc import Iterator
from random import Random

from bench.campaigns.app import App, Call
from bench.campaigns.records import Record, record
from bench.campaigns.templates import Template

SHARE = {"app_literal": 0.7, "app_dynamic": 0.18, "app_bound": 0.12}
NEW_TEMPLATE_SHARE = 0.02
RELEASE_AFTER = 0.3
"""The share of the test phase that is over when the release comes."""


def to_record(app: App, call: Call, phase: str) -> Record:
    """Return the record of an honest call."""
    raw = [call.request[name] for name in call.template.raw_fields if name in call.request]
    values = raw or list(call.request.values()) or [""]
    return record(
        app.dialect, call.template.tid, call.statement.text, call.answer, phase=phase, label="benign",
        kind=call.template.kind, input=max(values, key=len), source="templates of bench.campaigns",
    )  # fmt: skip


class HonestStream:
    """A source of honest records; frequent statements are a thousand times as frequent as rare ones."""

    def __init__(self, app: App, random: Random) -> None:
        self._app = app
        self._random = random
        self._by_kind: dict[str, list[Template]] = {kind: [] for kind in SHARE}
        for template in app.regular:
            self._by_kind[template.kind].append(template)
        self._weights = {
            kind: [random.paretovariate(0.9) for _ in templates] for kind, templates in self._by_kind.items()
        }

    def _call(self, template: Template, phase: str) -> Record:
        call = self._app.call(template.tid, template.request(self._random))
        return to_record(self._app, call, phase)

    def train(self, count: int) -> Iterator[Record]:
        """Yield the training phase; every statement occurs at least five times."""
        early = [template for template in self._app.regular for _ in range(5)]
        self._random.shuffle(early)
        for template in early[:count]:
            yield self._call(template, "train")
        for _ in range(count - len(early)):
            yield self._call(self._regular(), "train")

    def test(self, count: int) -> Iterator[Record]:
        """Yield the honest part of the test phase, with the statements of a release."""
        for number in range(count):
            new = number >= RELEASE_AFTER * count and self._random.random() < NEW_TEMPLATE_SHARE
            yield self._call(self._random.choice(self._app.release) if new else self._regular(), "test")

    def _regular(self) -> Template:
        kind = self._random.choices(list(SHARE), list(SHARE.values()))[0]
        return self._random.choices(self._by_kind[kind], self._weights[kind])[0]
