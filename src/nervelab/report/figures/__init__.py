"""The figures of the report: one module a group, listed in `registry`."""
