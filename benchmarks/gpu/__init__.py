"""What a GPU does: see ``python -m benchmarks.gpu --help``."""
