"""The app's release where it reports none itself: from what its platform gives the process.

A detector excuses what a release changes, so it must learn of each one. ``service.version`` comes first, where it is
set.
"""

import re
from collections.abc import Mapping
from typing import Final

VARIABLES: Final = (
    "SENTRY_RELEASE", "DD_VERSION", "APP_VERSION", "APP_RELEASE", "RELEASE_VERSION", "HEROKU_RELEASE_VERSION",
    "HEROKU_SLUG_COMMIT", "SOURCE_VERSION", "RENDER_GIT_COMMIT", "RAILWAY_DEPLOYMENT_ID", "RAILWAY_GIT_COMMIT_SHA",
    "FLY_MACHINE_VERSION", "K_REVISION", "GAE_VERSION", "CONTAINER_APP_REVISION", "VERCEL_DEPLOYMENT_ID",
    "VERCEL_GIT_COMMIT_SHA", "AWS_LAMBDA_FUNCTION_VERSION", "GIT_COMMIT", "GIT_SHA", "GIT_REVISION", "COMMIT_SHA",
    "CI_COMMIT_SHA", "IMAGE_TAG",
)  # fmt: skip
"""Environment variables that name a release: of other monitoring, of platforms, of common images; the first applies."""
MAX_TEXT: Final = 100
_UNNAMED: Final = frozenset(("", "$LATEST", "latest", "unknown", "dev", "development", "none"))
_POD: Final = re.compile(r".+-([bcdf-hj-np-tv-xz24-9]{8,10})-[bcdf-hj-np-tv-xz24-9]{5}")
"""A pod of a Deployment: its name, the hash of its template, and five characters; digits and letters without vowels."""


def find_release(environment: Mapping[str, str], host_name: str) -> str:
    """Return the release of the app by its environment; empty where that names none.

    >>> find_release({"DD_VERSION": "3.1"}, "shop"), find_release({"IMAGE_TAG": "latest"}, "shop-2")
    ('3.1', '')
    >>> find_release({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "shop-web-5d4f8c7b9d-x7k2p")
    '5d4f8c7b9d'
    """
    for name in VARIABLES:
        value = environment.get(name, "").strip()
        if value not in _UNNAMED:
            return value[:MAX_TEXT]
    pod = _POD.fullmatch(host_name) if "KUBERNETES_SERVICE_HOST" in environment else None
    return pod[1] if pod else ""
