"""One training loop, with exact resume."""
