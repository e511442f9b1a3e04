"""Kafka: clients, connections, calls and polls, as the probes of three drivers need them."""
