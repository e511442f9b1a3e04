"""``attach``: from the name of a config variable to a resource."""

import os
from collections.abc import Mapping
from typing import Any

from backwatch.resource.errors import ResourceMisconfigured
from backwatch.resource.opening import Attachment
from backwatch.resource.plain_text import shorten
from backwatch.resource.policy import read_policy
from backwatch.resource.resource import Resource
from backwatch.resource.systems import choose_driver
from backwatch.resource.url import read_url


def attach(name: str, *, environment: Mapping[str, str] | None = None, **settings: Any) -> Resource:
    """Return the resource whose URL a config variable holds. Nothing is connected yet.

    Args:
        name: Name of the variable, ``DATABASE_URL``. The policy and the monitor follow it.
        environment: Variables instead of the process's.
        settings: Settings of the policy that go before all others, ``tls="verify-ca"``.

    Raises:
        ResourceMisconfigured: The variable is missing or no URL, or a setting is wrong.
        DriverMissing: No client library of the service is installed.

    >>> attach("DATABASE_URL", environment={"DATABASE_URL": "postgresql://shop@localhost/shop"})
    <Resource DATABASE_URL: postgresql://shop@localhost/shop with psycopg>
    """
    variables = os.environ if environment is None else environment
    if name not in variables:
        raise ResourceMisconfigured(f"{shorten(name)} is not set: it must hold the URL of a service")
    url = read_url(name, variables[name])
    policy = read_policy(name, url.settings, variables, settings)
    driver = choose_driver(name, url, policy)
    url = driver.locate(name, url)
    port = driver.ports.get(url.scheme, driver.default_port)
    return Resource(Attachment(name=name, url=url, policy=policy, default_port=port), driver)
