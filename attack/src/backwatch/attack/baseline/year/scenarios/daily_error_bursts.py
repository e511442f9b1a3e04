"""A service that is restarted each night, and answers nothing meanwhile."""

from backwatch.attack.baseline.year._shop import SQL
from backwatch.attack.baseline.year.calendar import Hour
from backwatch.attack.baseline.year.scenario import Query, YearScenario
from backwatch.attack.baseline.year.services import LETS_ENCRYPT, https, postgresql

PAY = Query("POST /v1/payments", "shop/pay.py:pay", "/checkout", -1, 400, 1, lasts_s=0.3, sent_bytes=600)


class DailyErrorBursts(YearScenario):
    """A nightly restart of the database takes half a minute; a payment API is overloaded on some afternoons."""

    title = (
        "a restart each night during which every call and retry fails, and an API that is overloaded on some afternoons"
    )
    naive = "a service that used to respond fails every call"
    per_hour = 140

    def set_up(self) -> None:
        """Make database and API."""
        self.database = postgresql(self.source)
        self.payments = https(self.source, "api.payments.example", LETS_ENCRYPT[0], 90, 5)

    def play(self, hour: Hour) -> None:
        """Fail, retry, and work."""
        if hour.is_at(3):
            for _ in range(self.source.randrange(18, 40)):
                at_s = hour.begin_s + 1_800 + self.source.random() * 35
                self.call(at_s, self.database, self.source.choice(SQL), error="OperationalError")
        if hour.is_at(15) and self.source.random() < 0.5:
            begin_s = hour.begin_s + self.source.randrange(0, 3_000)
            for _ in range(self.source.randrange(10, 30)):
                self.call(begin_s + self.source.random() * 40, self.payments, PAY, error="503")
        self.ordinary(hour, self.database, SQL)
        self.ordinary(hour, self.payments, (PAY,), 30)
