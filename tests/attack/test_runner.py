"""The runner runs each scenario: an app that fails is reported, and the others run all the same."""

import pytest

from backwatch.attack.runner import opened
from backwatch.attack.scenarios.mysql.local_infile import LocalInfile


class Breaking(LocalInfile):
    """Its app fails once it is live."""

    def work(self) -> None:
        """Fail once the app is live."""
        if self.config.live:
            raise RuntimeError("the app is broken")
        super().work()


@pytest.mark.slow
def test_a_failing_app_is_reported_and_the_next_scenario_runs() -> None:
    with opened([Breaking, LocalInfile], lambda _: None) as pack:
        broken, whole = pack.play(Breaking), pack.play(LocalInfile)
    assert broken.outcome == "failed: RuntimeError: the app is broken"
    assert not broken.caught
    assert whole.caught
    assert whole.document()["outcome"] == "only with local_infile=True"
