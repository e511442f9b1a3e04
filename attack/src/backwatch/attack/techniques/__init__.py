"""What several scenarios share: servers that turn hostile in one way, and apps that are careless in one way."""
