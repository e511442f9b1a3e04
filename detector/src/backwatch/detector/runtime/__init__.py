"""The detector as a process: shard workers, progress, faults, replay."""
