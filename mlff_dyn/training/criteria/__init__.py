"""Criteria that decide, while molecular dynamics runs, when the engine is called."""
