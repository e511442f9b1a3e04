"""AMQP 0.9.1: requests, responses and state of a connection."""
