"""The command line: thin commands that parse, call a workflow, and print its report."""
