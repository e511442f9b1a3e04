"""Hosts to which an app talks: how a text names an address, and the class of network that it leads to."""
