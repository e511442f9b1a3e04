"""The runner runs each scenario. A failing app is reported, and the others still run."""

import sys

import pytest

from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.runner import open_pack
from backwatch.attack.scenarios import Run, variants
from backwatch.attack.scenarios.mysql import local_infile
from backwatch.attack.scenarios.mysql.local_infile import LocalInfile


class Breaking(LocalInfile):
    """Its app fails once it is live."""

    runs = (Run(PyMySQL),)

    def work(self) -> object:
        """Fail once the app is live."""
        if self.config.live:
            raise RuntimeError("the app is broken")
        return super().work()


@pytest.mark.slow
def test_failing_app_is_reported_and_next_scenario_runs() -> None:
    (breaking,), sound = variants(sys.modules[__name__]), variants(local_infile)[0]
    with open_pack([breaking, sound], lambda _: None) as pack:
        broken, whole = pack.run(breaking), pack.run(sound)
    assert broken.outcome == "failed: RuntimeError: the app is broken"
    assert not broken.caught
    assert whole.caught
    assert whole.document()["outcome"] == "only with local_infile=True"
