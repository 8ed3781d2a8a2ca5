"""The configuration file: its schema, how it is read, its template and its reference."""
