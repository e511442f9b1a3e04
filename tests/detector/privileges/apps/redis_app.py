"""A shop on Redis: every command, prefix and channel is used once."""

import sys

import redis


def main(url: str) -> None:
    """Run every command once; an app that lacks a right fails."""
    with redis.Redis.from_url(url) as client:
        client.set("session:1", "ann", ex=60)
        client.get("session:1")
        client.hset("cart:7", "tea", "2")
        client.hgetall("catalogue:tea")
        client.delete("lock:7")
        client.publish("news:tea", "new")
        client.object("ENCODING", "cart:7")
        with client.pipeline() as pipeline:
            pipeline.incr("visits:page")
            pipeline.expire("visits:page", 60)
            pipeline.execute()
        list(client.scan_iter("session:*"))


if __name__ == "__main__":
    main(sys.argv[1])
