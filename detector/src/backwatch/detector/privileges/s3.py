"""S3: a policy document against the buckets and actions that an app used. The document is a file; nothing is asked."""

import json
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from backwatch.detector.audit.model import (
    Audit,
    AuditUnavailable,
    Calls,
    Grant,
    Power,
    PowerLevel,
    ScriptLine,
    SeenCall,
    Target,
    WrongTarget,
)
from backwatch.detector.audit.quoting import escape_line, quote_json
from backwatch.detector.privileges import Auditor, sort_proofs

MAX_BYTES: Final = 1 << 20
"""Of a policy document."""
MAX_STATEMENTS: Final = 1_000
_ACTIONS: Final[dict[str, tuple[str, ...]]] = {
    "HeadObject": ("GetObject",),
    "SelectObjectContent": ("GetObject",),
    "DeleteObjects": ("DeleteObject",),
    "CreateMultipartUpload": ("PutObject",),
    "UploadPart": ("PutObject",),
    "CompleteMultipartUpload": ("PutObject",),
    "CopyObject": ("PutObject",),
    "UploadPartCopy": ("PutObject",),
    "ListParts": ("ListMultipartUploadParts",),
    "HeadBucket": ("ListBucket",),
    "ListObjects": ("ListBucket",),
    "ListObjectsV2": ("ListBucket",),
    "ListObjectVersions": ("ListBucketVersions",),
    "ListMultipartUploads": ("ListBucketMultipartUploads",),
    "ListBuckets": ("ListAllMyBuckets",),
    "GetBucketLifecycleConfiguration": ("GetLifecycleConfiguration",),
    "PutBucketLifecycleConfiguration": ("PutLifecycleConfiguration",),
}
"""Actions of calls that are called otherwise than their action."""
_OF_OBJECTS: Final = frozenset(
    {"AbortMultipartUpload", "DeleteObject", "DeleteObjectTagging", "GetObject", "GetObjectAcl", "GetObjectAttributes",
     "GetObjectLegalHold", "GetObjectRetention", "GetObjectTagging", "ListMultipartUploadParts", "PutObject",
     "PutObjectAcl", "PutObjectLegalHold", "PutObjectRetention", "PutObjectTagging", "RestoreObject"}
)  # fmt: skip
_POWERS: Final[dict[str, tuple[PowerLevel, str]]] = {
    "s3:PutBucketPolicy": ("critical", "opens the bucket to the world"),
    "s3:PutBucketAcl": ("critical", "opens the bucket to the world"),
    "s3:PutBucketPublicAccessBlock": ("critical", "removes the protection against public access"),
    "s3:DeleteBucket": ("high", "deletes the bucket"),
    "s3:PutReplicationConfiguration": ("high", "copies every object to another bucket"),
    "s3:PutLifecycleConfiguration": ("high", "lets objects expire"),
    "s3:PutObjectAcl": ("medium", "opens objects to the world"),
}

Key = tuple[str, str]
"""Action and the ARN of its resource."""


class S3(Auditor):
    """S3 and its work-alikes."""

    schemes = ("s3",)
    systems = ("s3",)
    port = 0
    language = "JSON, a policy document; remove the comments: grep -v '^#'"
    example = "s3://photos?policy=policy.json"

    def audit(self, target: Target, seen: Calls, new_account: str) -> Audit:
        """Read the policy document and compare it; ``s3://BUCKET`` takes calls of one bucket, ``s3://`` of all."""
        unknown = sorted(set(target.options) - {"policy"})
        if unknown or not target.options.get("policy"):
            raise WrongTarget("URL: name the policy document: s3://BUCKET?policy=FILE")
        del new_account  # a document names no account
        bucket = target.host if target.host != "localhost" else ""
        allowed, denies = _read_policy(target.options["policy"])
        found = Audit(system="s3", account=target.account or "policy", server=bucket or "all buckets", comment="#")
        needs: dict[Key, set[SeenCall]] = {}
        for call in seen:
            for key in _derive_needs(call, bucket, found.notes):
                needs.setdefault(key, set()).add(call)
        found.powers = sorted(set(_list_powers(allowed)))
        found.unused = sorted(_list_unused(allowed, needs))
        if denies:
            found.notes.append("the document denies something; a denial is kept beside any grant")
        found.script = _write_script(needs, seen)
        found.notes = sorted(set(found.notes))
        return found


def _read_policy(file: str) -> tuple[list[Key], bool]:
    try:
        with Path(file).open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
        document: Any = json.loads(content) if len(content) <= MAX_BYTES else None
    except OSError as error:
        raise AuditUnavailable(f"policy={file[:200]}: {error.strerror}") from None
    except (ValueError, RecursionError):
        document = None
    statements = _listed(document.get("Statement")) if isinstance(document, dict) else []
    if not any(isinstance(each, dict) for each in statements) or len(statements) > MAX_STATEMENTS:
        raise WrongTarget(f"policy={file[:200]}: is no policy document")
    allowed: list[Key] = []
    denies = False
    for statement in statements:
        if not isinstance(statement, dict):
            continue
        denies |= statement.get("Effect") == "Deny"
        if statement.get("Effect") == "Allow":
            actions = _listed(statement.get("Action")) or (["*"] if "NotAction" in statement else [])
            resources = _listed(statement.get("Resource")) or ["*"]
            allowed += [(str(action)[:128], str(resource)[:1024]) for action in actions for resource in resources]
    return allowed[:MAX_STATEMENTS], denies


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _derive_needs(call: SeenCall, bucket: str, notes: list[str]) -> Iterable[Key]:
    operation, _, rest = call.statement.partition(" ")
    named = rest.partition(" (")[0].strip()
    if operation == "connect" or "." in operation or (call.operation and call.operation != operation):
        return
    if bucket and named != bucket:
        return
    for action in _ACTIONS.get(operation, (operation,)):
        if action == "ListAllMyBuckets":
            yield f"s3:{action}", "*"
            continue
        if not named or named == "?" or not operation.isalnum():
            notes.append(f"the bucket is not recorded, so nothing was derived: {escape_line(call.statement)}")
            continue
        if operation in ("CopyObject", "UploadPartCopy"):
            notes.append(f"{operation} reads its source, which is not recorded: grant s3:GetObject there, too")
        yield f"s3:{action}", f"arn:aws:s3:::{named}" + ("/*" if action in _OF_OBJECTS else "")


def _list_powers(allowed: Iterable[Key]) -> Iterable[Power]:
    for action, resource in allowed:
        if action in ("*", "s3:*"):
            yield Power("critical" if resource in ("*", "arn:aws:s3:::*") else "high", f"{action} on {resource}",
                        "does everything there, and opens buckets to the world")  # fmt: skip
            continue
        for known, (level, why) in _POWERS.items():
            if _matches(action, known):
                yield Power(level, f"{known} on {resource}", why)


def _matches(pattern: str, name: str) -> bool:
    # Only * and ? are wild in a policy; [ is a character.
    return fnmatchcase(name.lower(), pattern.lower().replace("[", "[[]"))


def _list_unused(allowed: Iterable[Key], needs: dict[Key, set[SeenCall]]) -> Iterable[Grant]:
    for action, resource in allowed:
        used = [key for key in needs if _matches(action, key[0]) and _matches(resource, key[1])]
        if not used:
            yield Grant(action, "resource", (resource,))
        elif "*" in action or (resource, action) not in {(key[1], key[0]) for key in used}:
            yield Grant(
                f"{action}, of which {', '.join(sorted({key[0] for key in used}))} was used", "resource", (resource,)
            )


def _write_script(needs: dict[Key, set[SeenCall]], seen: Calls) -> list[ScriptLine]:
    if not needs:
        return []
    lines = [ScriptLine('{"Version": "2012-10-17", "Statement": [')]
    for at, (action, resource) in enumerate(sorted(needs), 1):
        statement = quote_json({"Effect": "Allow", "Action": action, "Resource": resource})
        comma = "," if at < len(needs) else ""
        lines.append(ScriptLine(f" {statement}{comma}", sort_proofs(seen, needs[action, resource])))
    return [*lines, ScriptLine("]}")]
