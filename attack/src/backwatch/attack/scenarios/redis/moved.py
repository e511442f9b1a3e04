"""C1 on redis, in a client without cluster support: it refuses a redirect to another node."""

from backwatch.attack.clients.redis import Redis
from backwatch.attack.scenarios import SECRET, Run, Scenario
from backwatch.attack.techniques.redis_moved import MovingRedis


class RedisMoved(Scenario):
    """The plain client raises. The attempt must raise an alert all the same."""

    code = "C1"
    attack = "answers with MOVED to an unknown host"
    reference = "https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/; ATT&CK T1557"
    notices = "an exception"
    rule = "redirected"
    server = MovingRedis
    captures = SECRET.encode()
    runs = (Run(Redis),)
