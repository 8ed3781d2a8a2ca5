"""Crystal symmetry: cells, clusters, orbits, sum rules and the force-constant basis."""
