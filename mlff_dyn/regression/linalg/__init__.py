"""Linear algebra of fits: packed matrices, factors, triangles, the search for a maximum."""
