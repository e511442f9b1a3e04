"""AMQP 0-9-1: requests, responses, messages, connections and channels."""
