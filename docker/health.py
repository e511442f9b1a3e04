"""Is this part doing its work? ``health.py detector`` and ``notify`` look into the store, ``health.py shop`` at a file.

Exit code 0: yes. The reason for a no is one line.
"""

import sys
import time
from pathlib import Path

PATIENCE_S = 120
ALIVE = Path("/tmp/alive")  # noqa: S108  the container's own tmpfs


def detector() -> str:
    """A detector takes its shards at once, and from the first call on commits at least a tick for each of them."""
    return _older(
        "select max(updated_ns) from backwatch_shard", "the last commit of any shard", nothing="no shard was taken yet",
        may_be_new=True,
    )  # fmt: skip


def notify() -> str:
    """Every event is routed soon, and every endpoint's courier makes its rounds, whether receivers answer or not."""
    from backwatch.collector.settings import NotifySettings, load
    from backwatch.notify.service import configured_outputs

    settings = load(NotifySettings)
    endpoints = [one.endpoint for one in configured_outputs(settings)]
    if not endpoints:
        return ""  # events wait until there is one
    late = _older(
        "select min(created_ns) from backwatch_event where routed_ns is null", "the oldest event that nobody routed"
    )
    for name in endpoints:
        late = late or _older(
            "select served_ns from backwatch_endpoint where name = :name",
            f"the last round of the courier to {name}",
            nothing=f"nobody has ever served {name}",
            patience_s=PATIENCE_S + settings.timeout_s,  # a courier makes no rounds while an attempt lasts
            name=name,
        )
    return late


def shop() -> str:
    """The demo app says so itself, every few seconds."""
    age_s = time.time() - ALIVE.stat().st_mtime if ALIVE.exists() else float("inf")
    return f"no sign of life for {age_s:.0f} s" if age_s > PATIENCE_S else ""


def _older(
    query: str, what: str, nothing: str = "", patience_s: float = PATIENCE_S, *, may_be_new: bool = False, **values: str
) -> str:
    import sqlalchemy as sa

    from backwatch.collector.settings import StoreSettings, load
    from backwatch.store.connect import open_store
    from backwatch.store.transactions import reading

    try:
        with reading(open_store(load(StoreSettings).url, must_exist=True)) as connection:
            at_ns = connection.execute(sa.text(query), values).scalar()
    except ConnectionError as error:  # away, or no detector has made it yet
        return str(error)
    if at_ns is None:
        return nothing
    if at_ns == 0 and may_be_new:
        return ""
    age_s = time.time() - at_ns / 1e9
    return f"{what} is {age_s:.0f} s old" if age_s > patience_s else ""


if __name__ == "__main__":
    wrong = {"detector": detector, "notify": notify, "shop": shop}[sys.argv[1]]()
    sys.exit(wrong or 0)
