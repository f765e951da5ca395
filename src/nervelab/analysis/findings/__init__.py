"""The findings of the paper as rules: one module a group, listed in `registry`."""
