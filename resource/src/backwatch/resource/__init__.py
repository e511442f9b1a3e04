"""The Resource: attach a backing service by the name of its config variable, and get the driver's own safe connection.

>>> from backwatch.resource import attach
>>> orders = attach("DATABASE_URL")                      # doctest: +SKIP
>>> with orders.connect() as connection:                 # doctest: +SKIP
...     connection.execute("SELECT 1")

Standard library only: drivers are imported when a resource is opened. Neither stream, detector nor collector is needed.
"""

from backwatch.resource.attach import attach
from backwatch.resource.errors import DriverMissing, ResourceError, ResourceMisconfigured, ResourceUnsafe
from backwatch.resource.opening import Finding
from backwatch.resource.policy import Policy
from backwatch.resource.resource import Resource

__all__ = [
    "DriverMissing", "Finding", "Policy", "Resource", "ResourceError", "ResourceMisconfigured", "ResourceUnsafe",
    "attach",
]  # fmt: skip
