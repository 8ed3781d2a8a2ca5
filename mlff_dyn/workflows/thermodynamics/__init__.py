"""What `thermodynamics` does."""
