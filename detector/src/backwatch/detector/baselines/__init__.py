"""The streaming statistics that detectors share."""
