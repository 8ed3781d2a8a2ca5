"""Where and when reference calculations run; an engine only knows one directory at a time."""
