"""``python -m backwatch.attack.child PARENT …``: the ``backwatch`` command, not outliving its parent."""

import ctypes
import os
import signal
import sys

from backwatch.collector.cli import main

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    parent = int(sys.argv.pop(1))
    if sys.platform == "linux":
        # Not SIGTERM: a child that waits for browsers to hang up would wait forever. All children survive a SIGKILL.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)
    main(prog_name="backwatch")
