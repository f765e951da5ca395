"""The tables of the report: one module a table, listed in `registry`."""
