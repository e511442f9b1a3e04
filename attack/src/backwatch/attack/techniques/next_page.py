"""C13, D14: an API's response names the address of its next page. The app opens any address."""

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from backwatch.attack.protocols.http import Request, Web, format_response
from backwatch.attack.scenarios import Scenario

MAX_PAGES = 3


class PagedList(Web):
    """A list of two pages. Once hostile, the first page names another address as the next page.

    Attributes:
        other: The other address.
    """

    other: ClassVar[str]

    def answer(self, request: Request) -> bytes:
        """Return a page."""
        following = self.other if self.hostile else f"https://localhost:{self.port}/goods?page=2"
        return format_response(
            json.dumps({"goods": "apples", "next": following if b"page=1" in request.path else None}).encode()
        )


class FollowsPages(Scenario):
    """An app that follows ``next`` without checking it, and publishes any other text as goods."""

    notices = "a page without goods"

    def work(self) -> object:
        """Read all pages."""
        pages: list[Any] = []
        following: str | None = self.client.url("/goods?page=1")
        options = self.options()
        while following and len(pages) < MAX_PAGES:
            text = self.client.get(following, **options).decode()
            try:
                page = json.loads(text)
            except ValueError:
                page = {"goods": text}
            pages.append(page.get("goods", page))
            following = page.get("next")
        return pages

    def options(self) -> Mapping[str, Any]:
        """Return the client's options."""
        return {}
