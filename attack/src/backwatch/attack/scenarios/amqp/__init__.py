"""Scenarios of the amqp protocol."""
