"""Facts of credentials and channels, noted where they are made: they go from the one to the other and to the calls."""

from typing import Any

from backwatch.collector.probes.grpc.session import (
    PLAIN,
    STATE_ATTRIBUTE,
    Credentials,
    GrpcChannelState,
    credentials_of,
)
from backwatch.collector.probes.toolkit.dbapi import argument
from backwatch.collector.probes.toolkit.hooks import CallToken, Error, name_arguments
from backwatch.collector.runtime.guard import never_breaks_the_host


@never_breaks_the_host
def on_tls_credentials(_owner: None, making: CallToken, made: Any, error: Error) -> None:
    """Note credentials for TLS."""
    if error is None:
        chain = argument(making[1], making[2], 2, "certificate_chain")
        vars(made)[STATE_ATTRIBUTE] = Credentials("tls", "certificate" if chain is not None else "none")


@never_breaks_the_host
def on_composite_credentials(_owner: None, making: CallToken, made: Any, error: Error) -> None:
    """Note credentials of a channel together with those of its calls."""
    if error is None:
        channel = argument(making[1], making[2], 0, "channel_credentials")
        vars(made)[STATE_ATTRIBUTE] = Credentials(credentials_of(channel).kind, "call-credentials")


@never_breaks_the_host
def on_secure_channel(_owner: None, making: CallToken, made: Any, error: Error) -> None:
    """Note a channel with credentials."""
    if error is None:
        given = name_arguments(("target", "credentials", "options"), making[1], making[2])
        credentials = credentials_of(given.get("credentials"))
        vars(made)[STATE_ATTRIBUTE] = GrpcChannelState(given.get("target"), credentials, given.get("options"))


@never_breaks_the_host
def on_insecure_channel(_owner: None, making: CallToken, made: Any, error: Error) -> None:
    """Note a channel without TLS."""
    if error is None:
        vars(made)[STATE_ATTRIBUTE] = GrpcChannelState(argument(making[1], making[2], 0, "target"), PLAIN, None)


@never_breaks_the_host
def on_callable(channel: Any, _making: CallToken, made: Any, error: Error) -> None:
    """Hand the state of a channel to a callable that it makes."""
    state = vars(channel).get(STATE_ATTRIBUTE) if error is None else None
    if state is not None:
        vars(made)[STATE_ATTRIBUTE] = state
