"""httpcore and the clients on it: httpx and its fork."""
