"""C13: an API's response names the metadata address as its next page. The app fetches any address.

Plaintext requests use the app's proxy, which the API's server plays here: the metadata address itself is
never contacted.
"""

from collections.abc import Mapping
from typing import Any

from backwatch.attack.clients.httpx import Httpx
from backwatch.attack.scenarios import Run
from backwatch.attack.scenarios.metadata.through_proxy import METADATA, MetadataProxy
from backwatch.attack.techniques.next_page import FollowsPages, PagedList


class MetadataList(MetadataProxy, PagedList):
    """The API and the proxy."""

    other = METADATA


class HttpNextPageElsewhere(FollowsPages):
    """On httpx, in an app that follows ``next`` without checking its host."""

    code = "C13"
    attack = "names the cloud's metadata address as the next page of a list"
    reference = "https://owasp.org/API-Security/editions/2023/en/0xaa-unsafe-consumption-of-apis/; ATT&CK T1552.005"
    rule = "metadata-address"
    server = MetadataList
    shows = "SecretAccessKey"
    runs = (Run(Httpx),)

    def options(self) -> Mapping[str, Any]:
        """Return the option for the app's proxy."""
        return self.client.proxy_options()
