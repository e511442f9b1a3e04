"""ACME certificates that last 90 days."""

from backwatch.attack.baseline.year._acme import AcmeScenario


class Acme90Days(AcmeScenario):
    """Renewed after 60 days."""

    title = "certificates of 90 days, renewed after 60 by the same authority"
    days = 336
    life_days = 90
    renewed_after_days = 60
