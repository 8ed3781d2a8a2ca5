"""Bayesian linear regression: pure linear algebra that knows no crystal."""
