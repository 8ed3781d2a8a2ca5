"""CP2K: its input, and the reader of what it prints."""
