"""The path of a call: recorder, queue, worker, encoder, heartbeat."""
