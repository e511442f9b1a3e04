"""Output of the commands: logs, tables, values of settings."""
