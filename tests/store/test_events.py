"""Bodies of events whose alert holds more than a body may."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from backwatch.store.events import BODY_LIMIT, to_bounded_json

TEXTS = st.builds(lambda text, times: text * times, st.sampled_from(["a", "é", "\x00", "😀"]), st.integers(1, 6_000))
BODIES = st.fixed_dictionaries(
    {
        "id": st.just("a" * 32), "count": st.integers(0, 2**60),
        "evidence": st.dictionaries(st.text(max_size=8), TEXTS, min_size=1, max_size=4),
        "tags": st.lists(TEXTS, min_size=1, max_size=4),
        **dict.fromkeys(("remediation", "key", "resource", "app", "title"), TEXTS),
    }
)  # fmt: skip


@given(BODIES)
def test_body_within_its_limit_keeps_types_and_required_parts(data: dict[str, Any]) -> None:
    given = dict(data)
    text = to_bounded_json({"type": "alert.opened", "timestamp": "2026-01-01T00:00:00Z", "data": data})
    found = json.loads(text)["data"]
    assert len(text) <= BODY_LIMIT
    assert {name: type(value) for name, value in found.items()} == {name: type(value) for name, value in given.items()}
    order = ("evidence", "remediation", "tags", "key", "resource", "app", "title")
    whole = [found[name] == given[name] for name in order]
    assert all(whole[whole.index(True) :]) if True in whole else True
    assert (found["id"], found["count"]) == (given["id"], given["count"])
