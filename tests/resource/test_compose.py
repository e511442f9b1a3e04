"""Variables of compose files."""

from pathlib import Path

import pytest

from backwatch.resource import ResourceMisconfigured
from backwatch.resource.checklist.sources import find_urls, read_compose_file

SERVICES = """
services:
  web:
    environment:
      DATABASE_URL: postgresql://shop:${DB_PASSWORD:-from-default}@$DB_HOST/shop
      REDIS_URL: "redis://:pa$$word@cache/${NOWHERE}"
      QUEUE_URL:
  worker:
    env_file: [common.env, {path: none.env, required: false}]
    environment: [MAIL_URL]
  broken: text
"""


def test_references_and_env_files_are_filled_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "compose.yml").write_text(SERVICES)
    (tmp_path / ".env").write_text("DB_HOST=db\nUNUSED_URL=redis://unused\n")
    (tmp_path / "common.env").write_text("CATALOG_URL=mysql://shop:secret@db/shop\nMAIL_URL=smtp://wrong\n")
    monkeypatch.setenv("MAIL_URL", "smtps://mail")
    monkeypatch.setenv("QUEUE_URL", "amqps://queue")
    assert find_urls(read_compose_file(tmp_path / "compose.yml")) == {
        "CATALOG_URL": "mysql://shop:secret@db/shop",
        "DATABASE_URL": "postgresql://shop:from-default@db/shop",
        "MAIL_URL": "smtps://mail",
        "QUEUE_URL": "amqps://queue",
        "REDIS_URL": "redis://:pa$word@cache/${NOWHERE}",
    }
    monkeypatch.setenv("DB_PASSWORD", "from-shell")
    assert "from-shell" in read_compose_file(tmp_path / "compose.yml")["DATABASE_URL"]


def test_missing_env_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "compose.yml").write_text("services: {web: {env_file: common.env}}")
    with pytest.raises(ResourceMisconfigured, match=r"common\.env: No such file"):
        read_compose_file(tmp_path / "compose.yml")


def test_references_that_hold_each_other_end(tmp_path: Path) -> None:
    nested = "${A:-" * 40 + "x" + "}" * 40
    (tmp_path / "compose.yml").write_text(f"services: {{web: {{environment: {{URL: '{nested}'}}}}}}")
    assert "URL" in read_compose_file(tmp_path / "compose.yml")
