"""The force field: expansion and posterior together give energy, forces and their errors."""
