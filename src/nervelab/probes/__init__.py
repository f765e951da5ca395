"""Finds the FFNs of a module, taps them, and runs one measurement."""
