"""Aggregates runs and decides findings. Imports no torch."""
