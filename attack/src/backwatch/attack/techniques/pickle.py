"""D3, D4: a stored or queued value comes back as a pickle that runs a program."""

from typing import ClassVar

from backwatch.attack.protocols.pickles import RAN
from backwatch.attack.scenarios import Scenario


class ReadsPickles(Scenario):
    """An app that stores Python objects where others can write."""

    code: ClassVar[str] = "D3"
    attack = "returns a pickle that runs a program as soon as it is read"
    reference = "https://docs.python.org/3/library/pickle.html; ATT&CK T1059.006"
    rule = "hostile-payload"
    shows = str(RAN)
