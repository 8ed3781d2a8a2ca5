"""Files of a run: atomic writing, the lock, the journal, the data set, structures, trajectories."""
