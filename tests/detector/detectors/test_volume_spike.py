"""State of the volume detector over versions."""

import numpy as np

from backwatch.detector.baselines.level import LEVEL
from backwatch.detector.baselines.level import update as update_level
from backwatch.detector.baselines.volume_score import observe
from backwatch.detector.detectors.volume_spike import VolumeSpike

MINUTE_NS = 60 * 10**9


def test_level_of_version_1_is_kept() -> None:
    before, source = np.zeros(3, LEVEL), np.random.default_rng(0)
    for i in range(2_000):
        update_level(before, 1, np.log1p(1_000 * float(np.exp(source.normal(0, 0.1)))), i * MINUTE_NS, True)
    table = VolumeSpike.tables[0]
    after = VolumeSpike().migrate(table, before, 1)
    assert after.dtype == table.dtype
    assert not after[[0, 2]].view(np.uint8).any()
    above, below, usual, _ = observe(after, 1, 1_050.0, 2_000 * MINUTE_NS, True)
    assert (above, below) == (0.0, 0.0)
    assert 800 < usual < 1_200
    assert observe(after, 1, 500_000.0, 2_001 * MINUTE_NS, True)[0] > 4.0
