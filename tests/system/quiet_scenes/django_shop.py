"""Django on PostgreSQL: its migrations at start and in the hour, inspectdb, and its own apps' tables."""

import io
from typing import Any

from backwatch.attack.baseline.workloads import NEXT_RELEASE, Process, WorkloadConfig, minutely, once, past, run
from tests.system.quiet_scenes.real import RealScene


class DjangoShop(RealScene):
    """Accounts of Django's own; migrate is run once more with the next release, and finds nothing to do."""

    title = "Django: migrate at start and at a deploy, inspectdb, users and permissions through its ORM"
    naive = "the catalogue is read, tables are made and altered, and constraints are looked up"
    drivers = ("psycopg",)
    processes = (
        Process((once("migrate", 1, -9 * 86_400, 60), past(8), minutely("hour", 8, 0, 1_440))),
        Process((once("migrate", 1, 1_500, 30), once("inspectdb", 1, 1_540, 20)), NEXT_RELEASE),
        Process((minutely("hour", 8, 1_600, 3_600),), NEXT_RELEASE),
    )

    def __init__(self, config: WorkloadConfig) -> None:
        super().__init__(config)
        import django
        from django.conf import settings

        server = self.server("django")
        database: dict[str, Any] = {
            "ENGINE": "django.db.backends.postgresql", "HOST": server["host"], "PORT": server["port"],
            "USER": server["user"], "PASSWORD": server["password"], "NAME": server["database"], "CONN_MAX_AGE": 600,
            "OPTIONS": {"sslmode": "verify-full", "sslrootcert": server["ca_file"]},
        }  # fmt: skip
        settings.configure(
            DATABASES={"default": database}, USE_TZ=True, DEFAULT_AUTO_FIELD="django.db.models.AutoField",
            INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"],
        )  # fmt: skip
        django.setup()
        self._next = config.release == NEXT_RELEASE

    def work(self, phase: str, number: int) -> None:
        """Run one round of the workload."""
        from django.core.management import call_command

        if phase in ("migrate", "inspectdb"):
            call_command(phase, stdout=io.StringIO())
        else:
            self._visit(number)

    def _visit(self, number: int) -> None:
        from django.contrib.auth.models import Group, User

        user, _ = User.objects.get_or_create(username=f"visitor {number % 5}")
        user.groups.add(Group.objects.get_or_create(name="customers")[0])
        for one in User.objects.filter(is_active=True).order_by("username")[:5]:
            assert [group.name for group in one.groups.all()]
        assert not user.has_perm("auth.add_user")
        User.objects.filter(pk=user.pk).update(first_name=f"number {number}")
        if self._next:
            assert list(User.objects.filter(groups__name="customers").values_list("username", "email"))


if __name__ == "__main__":
    run(DjangoShop)
