"""From OTLP in every encoding to requests: files, the router, spans of third-party SDKs."""
