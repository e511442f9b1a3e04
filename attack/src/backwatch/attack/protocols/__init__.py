"""Services that speak their protocols honestly, one file each; entries of the pack turn them in a small subclass."""
