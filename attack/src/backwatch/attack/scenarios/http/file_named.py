"""D14 on urllib: an API's response names a local file as next page. urlopen opens it."""

from backwatch.attack.clients.urllib import Urllib
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.next_page import FollowsPages, PagedList


class FileList(PagedList):
    """Names a file that exists on every machine and is no secret."""

    other = "file:///etc/hosts"


class HttpFileNamed(FollowsPages):
    """``urlopen`` opens ``file:`` URLs too. It refuses redirects to them, but not links that the app follows."""

    code = "D14"
    attack = "names a file of the app's machine as the next page of a list, and the app publishes it as goods"
    reference = "CVE-2023-34457; https://cwe.mitre.org/data/definitions/918.html; ATT&CK T1005"
    rule = "local-file-opened"
    server = FileList
    shows = "localhost"
    runs = (Run(Urllib),)
