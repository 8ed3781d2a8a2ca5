"""Functions of the distances and angles around each atom, beside the lattice expansion; knows no lattice."""
