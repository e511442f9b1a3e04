"""Redis and Valkey: commands, replies, sessions."""
