"""The demo: a shop on loopback whose services turn hostile one after the other."""
