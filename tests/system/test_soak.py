"""Two minutes of steady load: memory, files and threads stay constant, and the detector keeps up."""

import pytest

from bench.soak import soak

SECONDS = 110
RATE = 3_000
MAX_LAG_RECORDS = 60
"""Ten seconds of the load, on a machine that is shared: the load waits for a detector that is further behind."""


@pytest.mark.slow
def test_steady_load_keeps_memory_files_threads_and_lag_flat() -> None:
    found = soak(SECONDS, RATE, kafka=True, max_lag=MAX_LAG_RECORDS, quiet=True)
    assert found["spans_per_s"] > 200, found
    # The largest batch so far sets the heap: some 20 MiB here. A leak of 200 bytes per span would be 48 MiB.
    assert found["rss_growth_mib"] < 40, found
    assert found["max_lag_records"] <= 3 * MAX_LAG_RECORDS, found
    assert found["last_lag_records"] <= 2 * MAX_LAG_RECORDS, found
    assert found["files"][1] - found["files"][0] <= 4, found
    assert found["threads"][1] - found["threads"][0] <= 1, found
