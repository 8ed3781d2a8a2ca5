"""Tables that the compiled kernels read."""
