"""The pack runs what it is given: an app that fails is told, and the others are played all the same."""

import pytest

from backwatch.attack.runner import opened
from backwatch.attack.scenarios import run
from backwatch.attack.scenarios.mysql.local_infile import LocalInfile


class Breaking(LocalInfile):
    """Its app breaks once it is live."""

    def work(self) -> None:
        """Honest until then."""
        if self.place.live:
            raise RuntimeError("the app is broken")
        super().work()


@pytest.mark.slow
def test_an_app_that_fails_is_told_and_the_next_entry_is_played() -> None:
    with opened([Breaking, LocalInfile], lambda _: None) as pack:
        broken, whole = pack.play(Breaking), pack.play(LocalInfile)
    assert broken.outcome == "failed: RuntimeError: the app is broken"
    assert not broken.caught
    assert whole.caught
    assert whole.document()["outcome"] == "only with local_infile=True"


if __name__ == "__main__":
    run(Breaking)
