"""What `run-md` does."""
