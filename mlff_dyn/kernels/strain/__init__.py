"""Homogeneous strain of the crystal, in both kernels."""
