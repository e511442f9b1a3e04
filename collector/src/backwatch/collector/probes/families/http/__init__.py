"""HTTP: sessions, requests, and who records them."""
