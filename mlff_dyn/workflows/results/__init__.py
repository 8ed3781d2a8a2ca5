"""What verbs of results, such as `phonons`, have in common: their model, their folder, their answer."""
