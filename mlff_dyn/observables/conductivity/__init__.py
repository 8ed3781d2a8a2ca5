"""Lattice thermal conductivity by phono3py, its slopes by the force constants, and its error bar."""
