"""D11 on PyMySQL: an account that nobody has is read."""

from backwatch.attack.techniques.abused import AbusedPyMySQL
from backwatch.attack.techniques.canary import ReadsOneAfterTheOther


class MysqlCanary(AbusedPyMySQL, ReadsOneAfterTheOther):
    """On PyMySQL."""
