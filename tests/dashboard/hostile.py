"""Texts that an attacker may place in every field to reach the operator's browser."""

import hashlib
import time
from typing import Any

import sqlalchemy as sa

from backwatch.store import rules_meta, tables
from backwatch.store.commit import (
    AlertRound,
    Occurrence,
    QuarantinedRecord,
    RaisedAlert,
    ResourceActivity,
    Rollup,
    SeenProcess,
)
from backwatch.store.transactions import writing
from tests.services.commits import Owner, alert_id

S = 10**9
RESOURCE = hashlib.sha256(b"hostile").hexdigest()
"""The hostile resource's id."""
RULE = "unusual-query"
LONG_RULE = "long-rule"


def text(beacon: str, place: str) -> str:
    """Return text that could make a browser fetch, run, link or reorder, pointed at the beacon."""
    url = f"{beacon}/{place}"
    return (
        f"![x]({url}/md.png) [click]({url}/link) [js](javascript:fetch('{url}/js')) <{url}/auto> {url}/bare "
        f"<img src={url}/img.png onerror=fetch('{url}/e')> <script>fetch('{url}/s');alert(1)</script>"
        f"<iframe src={url}/f></iframe><svg/onload=alert(2)><link rel=stylesheet href={url}/c.css>"
        f"<style>@import url({url}/i.css);body{{background:url({url}/b.png)}}</style> www.evil.example "
        f":material/home: :red[red] $\\\\href{{{url}/tex}}{{x}}$ `code` ```\nfence\n``` # head\n- list\n"
        f"| a | b |\n|--|--|\n"
        f'=HYPERLINK("{url}/csv") \u202eabc\u2066\u200b\x07\x1b[2J {place}'
    )


def short(beacon: str) -> str:
    """Return the same for a short column."""
    return f"![]({beacon})"


def seed(owner: Owner, beacon: str, now_ns: int | None = None) -> list[str]:
    """Write a store that is hostile in every field; return the alerts' ids, last seen first."""
    now_ns = now_ns or time.time_ns()

    def say(place: str) -> str:
        return text(beacon, place)

    rules_meta.write_rules(owner.engine, [_rule(name, say) for name in (RULE, say("rule")[:200], LONG_RULE)])
    facts: dict[str, Any] = {
        "db.query.text": say("statement"), say("name")[:150]: say("value"), "tls.established": True,
        "tls.protocol.version": say("version"), "backwatch.tls.verified": say("verified"),
        "backwatch.account": say("account"), "backwatch.server.version": say("server"),
        "nested": [{say("k")[:90]: say("v")}],
    }  # fmt: skip
    raised = [
        RaisedAlert(
            alert_id=alert_id(rule, str(number)), rule=rule, level=level, resource_id=RESOURCE, app=say("app"),
            resource=say("resource"), key=say(f"key{number}"), count=3, first_ns=now_ns - 60 * S,
            last_ns=now_ns - number * S,
            occurrences=[
                Occurrence(time_ns=now_ns, trace_id=short(beacon), span_id="![](/x)", evidence=facts)
            ],
        )
        for number, (rule, level) in enumerate(
            [("unusual-query", "critical"), (say("rule"), "high"), ("gone", "medium"), ("unusual-query", short(beacon))]
        )
    ]  # fmt: skip
    seen = ResourceActivity(
        resource_id=RESOURCE, app=say("app"), system=say("system"), endpoint=say("endpoint"),
        namespace=say("namespace"), first_ns=now_ns - 3_600 * S, last_ns=now_ns, calls=5, errors=1, facts=facts,
    )  # fmt: skip
    window = dict.fromkeys(("calls", "errors", "suspects", "rows_returned", "rows_affected", "duration_ns"), 1)
    rollups = [
        Rollup(resource_id=RESOURCE, end_ns=(now_ns // (60 * S) - minute) * 60 * S, bytes_sent=9, bytes_received=8,
               new_statements=0, **window)
        for minute in range(5)
    ]  # fmt: skip
    process = SeenProcess(
        instance="1" * 16, app=say("app"), host=say("host"), pid=1, parent="", state=short(beacon)[:16],
        since_ns=now_ns, started_ns=now_ns, first_ns=now_ns, heard_ns=now_ns, interval_ns=1, recorded=1, delivered=1,
        dropped=1,
    )  # fmt: skip
    owner.commit(
        AlertRound(raised=raised), seen=[seen], processes=[process], rollups=rollups,
        losses={say("loss")[:60]: 2}, counters={say("c")[:60]: 2},
        quarantined=[QuarantinedRecord(partition=0, offset=1, reason=say("reason"), value=b"x", appended_ns=1)],
        now_ns=now_ns,
    )  # fmt: skip
    _deliveries(owner.engine, raised[0].alert_id, say, beacon)
    return [one.alert_id for one in raised]


def _rule(name: str, say: Any) -> dict[str, Any]:
    """A rule as a user could write it, whose every text is hostile; one is as long as a document may be."""
    more = 64 * 1024 if name == LONG_RULE else 0
    title, note = say("list"), say("note")
    line = {"systems": [say("system")], "driver": say("driver"), "code": say("code")}
    technique = {"id": say("technique"), "name": say("name"), "later": say("later"), "url": say("url")}
    return {
        "name": name, "title": say("title"), "level": say("level")[:16], "description": say("description") + "x" * more,
        "tags": [say("tag"), f"cve.{say('cve')}"], "blind_spots": say("blind"), "remediation": say("remediation"),
        "falsepositives": [say("false"), say("false again")], "references": [say("reference")],
        "how": [say("how") + "y" * more, say("how else")], "fires_on": [say("fires")], "not": [say("silent")],
        "evidence": [{"field": say("field"), "meaning": say("meaning")}], "attack": say("attack"),
        "parameters": [{"title": title, "note": note, "lines": [line, {**line, "systems": ["postgresql"]}]}],
        "techniques": [technique], "instead_of": [say("instead")],
    }  # fmt: skip


def _deliveries(engine: sa.Engine, of_alert: str, say: Any, beacon: str) -> None:
    with writing(engine) as connection:
        event = {"id": "e" * 32, "alert_id": of_alert, "episode": 1, "kind": short(beacon)[:32], "level_rank": 4,
                 "body": "{}", "created_ns": 1, "routed_ns": 1}  # fmt: skip
        endpoint = {"name": say("endpoint")[:200], "since_ns": 0, "paused_until_ns": 0, "reason": say("reason")}
        delivery = {"event_id": "e" * 32, "endpoint": endpoint["name"], "state": "![](/x)", "body": b"", "attempts": 3,
                    "created_ns": 1, "next_ns": 1, "locked_until_ns": 0, "outcome": say("outcome")}  # fmt: skip
        connection.execute(sa.insert(tables.event), [event])
        connection.execute(sa.insert(tables.endpoint), [endpoint])
        connection.execute(sa.insert(tables.delivery), [delivery])
