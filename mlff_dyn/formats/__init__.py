"""Files for other programs, made from a trained force field."""
