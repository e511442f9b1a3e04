"""Django looks for this class here."""

from typing import Any

from django.db.backends.postgresql import base

from backwatch.resource.django import find_name
from backwatch.resource.django.driver import AttachedDriver


class DatabaseWrapper(base.DatabaseWrapper):
    """Opens each connection through ``attach``. Without Django's own pool, which would open them by itself."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        database: Any = base.Database
        self.Database = AttachedDriver(database, find_name(self.settings_dict))
