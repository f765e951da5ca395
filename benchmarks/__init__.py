"""Side-by-side measurements of the engine, run on purpose: `python -m benchmarks`."""
