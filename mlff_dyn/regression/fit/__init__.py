"""Noise, prior, evidence and posterior of a linear model."""
