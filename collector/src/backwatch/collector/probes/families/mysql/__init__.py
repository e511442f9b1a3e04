"""MySQL: what the probes of its drivers share."""
