"""What further data would tell."""
