"""What `phonons` does."""
