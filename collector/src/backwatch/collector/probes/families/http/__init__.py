"""HTTP: sessions, requests, and their records."""
