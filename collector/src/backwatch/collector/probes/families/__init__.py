"""Code that drivers of one protocol share."""
