"""``python -m backwatch.attack.child …``: the ``backwatch`` command as a child that does not outlive its parent."""

import ctypes
import signal
import sys

from backwatch.collector.cli import main

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    main(prog_name="backwatch")
