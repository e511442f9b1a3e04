"""The state of a shard: tables, key spaces, snapshots."""
