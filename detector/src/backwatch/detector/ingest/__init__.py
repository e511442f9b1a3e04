"""Reads OTLP in every encoding: files, the router's input, spans of third-party SDKs."""
