"""ACME certificates that last 6 days."""

from backwatch.attack.baseline.year._acme import AcmeScenario


class Acme6Days(AcmeScenario):
    """Renewed after 4 days."""

    title = "certificates of 6 days, renewed after 4 by the same authority"
    days = 84
    life_days = 6
    renewed_after_days = 4
