"""Clients of clusters: they pass refusals of their nodes on as they are."""

from typing import Any

from backwatch.resource.opening import Attachment
from backwatch.resource.replies import raise_refusal


def check_cluster(attachment: Attachment, base: Any) -> Any:
    """Return a subclass of a library's cluster client: it passes refusals of its nodes on as they are."""

    class CheckedCluster(base):
        """The library's own cluster client."""

        def execute_command(self, *arguments: Any, **options: Any) -> Any:
            """Execute a command on the node that has its keys."""
            try:
                return super().execute_command(*arguments, **options)
            except Exception as error:
                raise_refusal(attachment, error)
                raise

    CheckedCluster.__name__ = CheckedCluster.__qualname__ = base.__name__
    return CheckedCluster


def check_async_cluster(attachment: Attachment, base: Any) -> Any:
    """Return a subclass of a library's asynchronous cluster client. See :func:`check_cluster`."""

    class CheckedCluster(base):
        """The library's own cluster client."""

        async def initialize(self, *arguments: Any, **options: Any) -> Any:
            """Learn the nodes."""
            try:
                return await super().initialize(*arguments, **options)
            except Exception as error:
                raise_refusal(attachment, error)
                raise

        async def execute_command(self, *arguments: Any, **options: Any) -> Any:
            """Execute a command on the node that has its keys."""
            try:
                return await super().execute_command(*arguments, **options)
            except Exception as error:
                raise_refusal(attachment, error)
                raise

    CheckedCluster.__name__ = CheckedCluster.__qualname__ = base.__name__
    return CheckedCluster
