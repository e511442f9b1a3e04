"""Scenarios of the ldap protocol."""
