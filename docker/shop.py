"""The compose file's demo app: the quiet shop under observation, with honest services in the same container.

Every hostile server of the attack pack begins honest; here they stay honest.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from backwatch.attack.authority import Authority
from backwatch.attack.demo.services import discover

ALIVE = Path("/tmp/alive")  # noqa: S108  the container's own tmpfs; health.py looks at its age
PASSWORD = "only-a-demo"  # noqa: S105  of servers that exist only in here


def main(arguments: list[str]) -> int:
    """Run the shop with these arguments until it ends; return its exit code."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        authority = Authority(Path(folder) / "authority")
        environment = {"SHOP_CA_FILE": str(authority.ca_file), "SHOP_PASSWORD": PASSWORD, "OTEL_SERVICE_NAME": "shop"}
        for kind in discover():
            server = kind(authority)
            server.start()
            stack.callback(server.stop)
            environment[f"SHOP_{server.name.upper()}_PORT"] = str(server.port)
        command = ["backwatch", "run", "--", sys.executable, "-m", "backwatch.attack.demo.shop", *arguments]
        shop = subprocess.Popen(command, env={**os.environ, **environment}, stdin=subprocess.DEVNULL)
        stack.callback(shop.terminate)
        while True:
            ALIVE.touch()
            with contextlib.suppress(subprocess.TimeoutExpired):
                return shop.wait(5)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
