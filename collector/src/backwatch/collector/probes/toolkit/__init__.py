"""Building blocks of the probes: hooks, patches, subclasses, sockets."""
