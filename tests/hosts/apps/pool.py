"""``multiprocessing``: workers that are forked or spawned while a thread of the parent goes on asking.

It asks what is safe beside forks in any program: no handshake, whose locks in OpenSSL a child would find held for ever,
and nothing for the first time, with the imports that belong to it.
"""

import multiprocessing
import sys
import threading

from shop import ask, ask_cache


def main() -> None:
    """``pool.py METHOD NAMES`` prints which process asked each of them."""
    method, names = sys.argv[1], sys.argv[2:]
    done = threading.Event()

    def go_on() -> None:
        while not done.wait(0.02):
            ask_cache("meanwhile")

    ask("meanwhile")
    thread = threading.Thread(target=go_on)
    thread.start()
    context = multiprocessing.get_context(method)
    with context.Pool(3, context.Barrier(3).wait) as pool:  # none begins before all are there
        print("\n".join(pool.map(ask, names, chunksize=1)))
        pool.close()
        pool.join()
    done.set()
    thread.join()


if __name__ == "__main__":
    main()
