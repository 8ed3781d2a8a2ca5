"""Which expansion the data support."""
