"""Support for running inside an app: guard, forks, shutdown, threads, and the records that probes make."""
