"""The quiet hour: apps at ordinary work, which must raise no alert."""
