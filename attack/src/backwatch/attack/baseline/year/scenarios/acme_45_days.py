"""ACME certificates that last 45 days."""

from backwatch.attack.baseline.year._acme import AcmeScenario


class Acme45Days(AcmeScenario):
    """Renewed after 30 days."""

    title = "certificates of 45 days, renewed after 30 by the same authority"
    days = 182
    life_days = 45
    renewed_after_days = 30
