"""``backwatch check``."""

import contextlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import click

from backwatch.resource.checklist import reports, sources
from backwatch.resource.checklist.checks import FAULT, LEVELS, OK, Item, count_faults, inspect
from backwatch.resource.errors import DriverMissing, ResourceMisconfigured
from backwatch.resource.inspections import discover
from backwatch.resource.opening import Attachment
from backwatch.resource.policy import ENV_FILE, ENV_PREFIX, read_policy
from backwatch.resource.systems import choose_driver
from backwatch.resource.systems import discover as list_drivers
from backwatch.resource.url import ServiceUrl, read_url

EXIT_FAULTS: Final = 3
EXIT_SETTING: Final = 78
SETTINGS: Final = (ENV_PREFIX, ENV_FILE)
AT_ONCE: Final = 8
MARKS: Final = {OK: "✓", FAULT: "✗", "unknown": "?"}


class _Misconfigured(click.ClickException):
    exit_code = EXIT_SETTING


@click.command(short_help="Check how safely each backing service is attached.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--env-file", type=click.Path(path_type=Path), help="Variables of a .env file.")
@click.option("--compose", type=click.Path(path_type=Path), help="Variables of a compose file's services.")
@click.option("--manifest", type=click.Path(path_type=Path), help="Variables of Kubernetes manifests.")
@click.option("--django", metavar="MODULE", help="Databases, caches and mail server of a settings module.")
@click.option(
    "--fail-on", type=click.Choice(LEVELS), default="medium", show_default=True, help="Exit 3 from this level."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON array of all checks.")
@click.option("--sarif", type=click.Path(path_type=Path), help="Write the faults as SARIF 2.1.0 to this file.")
@click.option("--junit", type=click.Path(path_type=Path), help="Write all checks as JUnit to this file.")
def check(
    names: Sequence[str], env_file: Path | None, compose: Path | None, manifest: Path | None, django: str | None,
    fail_on: str, *, as_json: bool, sarif: Path | None, junit: Path | None,
) -> None:  # fmt: skip
    """Check how safely each backing service is attached: the checklist of the fourth factor.

    Each variable that holds a service's URL is a resource; NAMEs restrict it to some. The services are asked: is the
    session encrypted and verified, how long is the certificate valid, is plaintext still accepted, is a login needed,
    does a well-known password open it, which powers does the account have, is the version supported. Passwords are
    sent over verified TLS or to this machine only, and never stored.

    \b
    Examples:
      backwatch check                              every resource of the environment
      backwatch check DATABASE_URL --json
      backwatch check --env-file .env --fail-on high
      backwatch check --compose docker-compose.yml --sarif check.sarif
      backwatch check --django shop.settings

    \b
    Exit codes: 0 no fault of the level, 3 faults, 2 wrong usage, 78 wrong setting.
    """
    try:
        attached, items = _attach(_read_sources(env_file, compose, manifest, django), names)
    except ResourceMisconfigured as error:
        raise _Misconfigured(str(error)) from None
    with ThreadPoolExecutor(AT_ONCE) as pool:
        pending = [pool.submit(inspect, attachment, driver, kind) for attachment, driver, kind in attached]
        items += [item for found in pending for item in found.result()]
    if sarif is not None:
        sarif.write_text(reports.to_sarif(items, version("backwatch-resource")))
    if junit is not None:
        junit.write_text(reports.to_junit(items))
    if as_json:
        click.echo(reports.to_json(items))
    else:
        shown = {attachment.name: attachment.url.without_secret() for attachment, _, _ in attached}
        _show(items, {item.resource: "" for item in items} | shown)
    if count_faults(items, fail_on):
        click.get_current_context().exit(EXIT_FAULTS)


def _read_sources(
    env_file: Path | None, compose: Path | None, manifest: Path | None, django: str | None
) -> dict[str, str]:
    if not any((env_file, compose, manifest, django)):
        return dict(os.environ)
    found = {name: value for name, value in os.environ.items() if name.startswith(SETTINGS)}
    if env_file is not None:
        found |= sources.read_env_file(env_file)
    if compose is not None:
        found |= sources.read_compose_file(compose)
    if manifest is not None:
        found |= sources.read_manifests(manifest)
    if django is not None:
        found |= sources.read_django_settings(django)
    return found


def _attach(variables: Mapping[str, str], names: Sequence[str]) -> tuple[list[tuple[Attachment, Any, Any]], list[Item]]:
    """Return what to inspect, and a line for each URL that cannot be read: one of many does not end the check."""
    urls = sources.find_urls(variables)
    for name in names:
        if name not in variables:
            raise ResourceMisconfigured(f"{name} is not set")
        if name not in urls:
            raise ResourceMisconfigured(f"{name} holds no URL of a service that can be checked")
    if not urls:
        raise ResourceMisconfigured("no variable holds the URL of a service; name a file, or set one (DATABASE_URL)")
    attached: list[tuple[Attachment, Any, Any]] = []
    unread: list[Item] = []
    for name, text in urls.items():
        if names and name not in names:
            continue
        try:
            sources.refuse_placeholders(name, text)
            url = read_url(name, text)
        except ResourceMisconfigured as error:
            if names or len(urls) == 1:
                raise
            unread.append(Item(resource=name, check="url", status="unknown", seen=str(error)))
            continue
        attached.append(_attach_url(name, url, variables))
    return attached, unread


def _attach_url(name: str, url: ServiceUrl, variables: Mapping[str, str]) -> tuple[Attachment, Any, Any]:
    policy = read_policy(name, url.settings, variables)
    driver = None
    with contextlib.suppress(DriverMissing, ResourceMisconfigured):  # then there is no login
        driver = choose_driver(name, url, policy)
    described = driver or next(each for each in list_drivers() if url.scheme in each.schemes)()
    url = described.locate(name, url)
    port = described.ports.get(url.scheme, described.default_port)
    return Attachment(name=name, url=url, policy=policy, default_port=port), driver, discover()[url.scheme]


def _show(items: Sequence[Item], urls: Mapping[str, str]) -> None:
    for resource, url in urls.items():
        click.echo(f"{click.style(resource, bold=True)}  {url}")
        for item in (item for item in items if item.resource == resource):
            colour = {OK: "green", FAULT: "red"}.get(item.status, "yellow")
            mark = click.style(MARKS[item.status], fg=colour)
            level = f" [{item.level}]" if item.level else ""
            click.echo(f"  {mark} {item.check:<17} {item.seen}{level}")
            if item.fix:
                click.echo(f"    {'→':<18}{item.fix}")
        click.echo()
    faults = [item for item in items if item.status == FAULT]
    counts = ", ".join(f"{sum(item.level == level for item in faults)} {level}" for level in reversed(LEVELS))
    unknown = sum(item.status == "unknown" for item in items)
    click.echo(f"resources: {len(urls)}; faults: {len(faults)} ({counts}); not seen: {unknown}")
