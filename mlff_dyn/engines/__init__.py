"""Reference codes: each adapter writes an input, runs it, and reads energy, forces and stress back."""
