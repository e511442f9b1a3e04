"""Common parts of scenarios: servers that turn hostile, and careless apps."""
