"""What `check-convergence` does."""
