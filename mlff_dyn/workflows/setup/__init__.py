"""The run directory, and what `init` does."""
