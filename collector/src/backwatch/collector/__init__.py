"""In the app: records each call to a backing service, and is never in the way."""
