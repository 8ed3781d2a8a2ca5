"""From labelled frames to a force field."""
