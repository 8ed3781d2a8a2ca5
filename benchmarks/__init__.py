"""Side-by-side measurements of this program and its peers; run `python -m benchmarks`."""
