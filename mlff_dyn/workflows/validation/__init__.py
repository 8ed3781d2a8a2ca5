"""What `validate` does."""
