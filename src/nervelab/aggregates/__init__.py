"""From run folders to tables, and the one way to find a run in them."""
