"""Greenlets without a server: gevent's or eventlet's, everything patched first."""

import sys
from typing import Any

if sys.argv[1] == "gevent":
    from gevent import monkey

    monkey.patch_all()
    from gevent.pool import Pool

    run: Any = Pool(10).map
else:
    import eventlet

    eventlet.monkey_patch()
    run = lambda function, names: list(eventlet.GreenPool(10).imap(function, names))  # noqa: E731

from shop import ask

print("\n".join(run(ask, sys.argv[2:])))
