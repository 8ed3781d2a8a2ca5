"""What `conductivity` does."""
