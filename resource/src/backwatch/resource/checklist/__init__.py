"""``backwatch check``: the checklist of the fourth factor for each attached resource, by asking the real services."""
