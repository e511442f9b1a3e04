"""The pack runs what it is given: an app that fails is told, and the others are played all the same."""

import sys

import pytest

from backwatch.attack.runner import opened
from backwatch.attack.scenarios import run, variants
from backwatch.attack.scenarios.mysql import local_infile
from backwatch.attack.scenarios.mysql.local_infile import LocalInfile


class Breaking(LocalInfile):
    """Its app breaks once it is live."""

    def work(self) -> object:
        """Honest until then."""
        if self.place.live:
            raise RuntimeError("the app is broken")
        return super().work()


@pytest.mark.slow
def test_an_app_that_fails_is_told_and_the_next_entry_is_played() -> None:
    (breaking,), sound = variants(sys.modules[__name__]), variants(local_infile)[0]
    with opened([breaking, sound], lambda _: None) as pack:
        broken, whole = pack.play(breaking), pack.play(sound)
    assert broken.outcome == "failed: RuntimeError: the app is broken"
    assert not broken.caught
    assert whole.caught
    assert whole.document()["outcome"] == "only with local_infile=True"


if __name__ == "__main__":
    run(Breaking)
