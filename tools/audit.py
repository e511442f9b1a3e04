"""Check that the locked dependencies are consistent, and that none is known to be vulnerable.

First come the checks without a network: every distribution is locked with hashes, installed as locked, and they agree
with each other. Then the advisories. ``pip-audit`` passes silently if the service knows nothing, as behind a mirror.
So a canary with famous advisories is looked up first: if it comes back clean, nothing was audited, and the last line
reports that (with ``BACKWATCH_AUDIT=required`` that is a failure).
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"
CANARY = "urllib3==1.24.1"
"""Has had advisories since 2019; never installed, only looked up."""
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)(?P<marker>[^\\]*)\\?$")


def read_lock() -> dict[str, str]:
    """Map name to version as in the lock; distributions only for other Pythons or systems are left out.

    Raises:
        SystemExit: A distribution has no hashes.
    """
    found: dict[str, str] = {}
    for block in re.split(r"\n(?=\S)", LOCK.read_text()):
        head, *rest = block.splitlines()
        if not head or head.startswith("#"):
            continue
        pin = PIN.match(head)
        if pin is None or not any("--hash=sha256:" in line for line in rest):
            sys.exit(f"audit: requirements.lock: {head!r} is not a pinned version with hashes")
        if ";" not in pin["marker"]:
            found[pin["name"]] = pin["version"]
    return found


def check_environment() -> int:
    """Compare the environment with the lock; return the number of distributions.

    Raises:
        SystemExit: The environment differs from the lock, or does not agree with itself.
    """
    wrong: list[str] = []
    pins = read_lock()
    for name, pinned in pins.items():
        try:
            installed = version(name)
        except PackageNotFoundError:
            installed = "missing"
        if installed != pinned:
            wrong.append(f"{name} is {installed}, locked {pinned}")
    if wrong:
        sys.exit("audit: the environment differs from requirements.lock: " + "; ".join(wrong))
    done = subprocess.run(
        [str(ROOT / ".tools/uv/bin/uv"), "pip", "check", "--quiet", "--python", sys.executable], check=False
    )
    if done.returncode:
        sys.exit("audit: installed distributions contradict each other (above)")
    return len(pins)


def advisories(requirements: Path) -> list[dict[str, Any]]:
    """Return ``pip-audit``'s result for each distribution; empty if it could not ask."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(requirements), "--disable-pip", "--no-deps",
               "--format", "json", "--progress-spinner", "off", "--timeout", "15"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        return json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        return []


def main() -> int:
    """Run the audit and report lookups that failed; exit code 0: no fault was found."""
    print(f"audit: {check_environment()} distributions are locked with hashes, installed as locked, and agree")
    with tempfile.TemporaryDirectory() as folder:
        canary = Path(folder, "canary.txt")
        canary.write_text(CANARY + "\n")
        answers = any(advisory.get("vulns") for advisory in advisories(canary))
    if not answers:
        print(
            f"audit: NOT AUDITED for known vulnerabilities: no advisory service answered for {CANARY}", file=sys.stderr
        )
        return 1 if os.environ.get("BACKWATCH_AUDIT") == "required" else 0
    results = advisories(LOCK)
    bad = [
        f"{result['name']} {result.get('version')}: {', '.join(v['id'] for v in result['vulns'])}"
        for result in results
        if result.get("vulns")
    ]
    unknown = [result["name"] for result in results if "skip_reason" in result]
    print(
        f"audit: {len(results)} distributions looked up, {len(bad)} vulnerable, {len(unknown)} unknown to the service"
    )
    print("\n".join(bad + [f"unknown: {name}" for name in unknown]))
    return 1 if bad or unknown or not results else 0


if __name__ == "__main__":
    sys.exit(main())
