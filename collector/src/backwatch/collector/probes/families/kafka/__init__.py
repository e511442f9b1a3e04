"""Kafka: what the probes of kafka-python and aiokafka share."""
