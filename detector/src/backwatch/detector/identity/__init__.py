"""The identity of servers: what a resource showed, and which changes operators accepted."""
