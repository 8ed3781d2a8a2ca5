"""The verbs: the only layer that knows configuration and files together."""
