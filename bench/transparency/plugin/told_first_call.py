"""One call before the suite begins, so that the thread which delivers calls is there when Celery's tests count threads.

They assert after each test that no thread was left over; ours starts with a process's first call and stays.
"""

import sqlite3

with sqlite3.connect(":memory:") as _connection:
    _connection.execute("SELECT 1")
_connection.close()
