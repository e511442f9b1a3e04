"""The start of the collector in an app: environment, import hooks, probes."""
