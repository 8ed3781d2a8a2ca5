"""What follows from a force field: phonons and the like, by well-kept libraries, with error bars."""
