"""Baskets in a cask: the same small commands day and night."""

from backwatch.attack.baseline.workloads import run
from backwatch.attack.baseline.workloads._scenario import ScenarioWorkload


class Baskets(ScenarioWorkload):
    """Stores and reads baskets."""

    title = "an app stores and reads baskets, and its server stays honest"
    naive = "the client connects anew for each basket"
    drivers = ("cask",)


if __name__ == "__main__":
    run(Baskets)
