"""D11 on PyMySQL: an account that nobody has is read."""

from backwatch.attack.entries import run
from backwatch.attack.entries._abused import AbusedPyMySQL
from backwatch.attack.entries._canary import ReadsOneAfterTheOther


class MysqlCanary(AbusedPyMySQL, ReadsOneAfterTheOther):
    """On PyMySQL."""


if __name__ == "__main__":
    run(MysqlCanary)
