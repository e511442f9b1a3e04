"""One call before the suite begins, so that Celery's thread counts include the delivery thread.

The tests assert after each test that no thread was left over; the collector's starts with the first call and stays.
"""

import sqlite3

with sqlite3.connect(":memory:") as _connection:
    _connection.execute("SELECT 1")
_connection.close()
