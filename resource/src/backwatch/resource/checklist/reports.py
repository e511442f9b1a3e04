"""The checklist for machines: JSON, SARIF 2.1.0 for code hosts, JUnit for build servers."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final
from xml.etree import ElementTree as ET

from backwatch.resource.checklist.checks import FAULT, OK, UNKNOWN, Item

SARIF_LEVELS: Final = {"low": "note", "medium": "warning", "high": "error", "critical": "error"}
SARIF_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"


def to_json(items: Sequence[Item]) -> str:
    """Return one JSON array, an object for each line of the checklist."""
    return json.dumps([asdict(item) for item in items], indent=2)


def to_sarif(items: Sequence[Item], version: str) -> str:
    """Return a SARIF log with the faults; a resource is a logical location."""
    faults = [item for item in items if item.status == FAULT]
    rules = [{"id": check, "name": check} for check in sorted({item.check for item in faults})]
    results: list[dict[str, Any]] = [
        {
            "ruleId": item.check, "level": SARIF_LEVELS[item.level],
            "message": {"text": f"{item.resource}: {item.seen}. {item.fix}."},
            "locations": [{"logicalLocations": [{"name": item.resource, "kind": "resource"}]}],
            "partialFingerprints": {"resourceCheck/v1": f"{item.resource}/{item.check}"},
        }
        for item in faults
    ]  # fmt: skip
    driver = {"name": "backwatch check", "version": version, "rules": rules}
    return json.dumps(
        {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]},
        indent=2,
    )


def to_junit(items: Sequence[Item]) -> str:
    """Return a JUnit document: a suite for each resource, a case for each check."""
    root = ET.Element("testsuites", name="backwatch check")
    for resource in dict.fromkeys(item.resource for item in items):
        own = [item for item in items if item.resource == resource]
        suite = ET.SubElement(
            root, "testsuite", name=resource, tests=str(len(own)), errors="0",
            failures=str(sum(item.status == FAULT for item in own)),
            skipped=str(sum(item.status == UNKNOWN for item in own)),
        )  # fmt: skip
        for item in own:
            case = ET.SubElement(suite, "testcase", classname=resource, name=item.check)
            if item.status == FAULT:
                ET.SubElement(case, "failure", message=item.seen, type=item.level).text = item.fix
            elif item.status != OK:
                ET.SubElement(case, "skipped", message=item.seen)
    return ET.tostring(root, encoding="unicode", xml_declaration=True)
