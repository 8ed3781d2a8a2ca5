"""Molecular dynamics around the compiled kernel: starts, limits, statistics of correlated samples."""
