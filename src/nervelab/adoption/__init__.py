"""Keeping runs through a change of code that changes no number: `nervelab adopt`."""
