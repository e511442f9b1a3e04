"""Facts of a connection: TLS, certificates, bytes on the wire."""
