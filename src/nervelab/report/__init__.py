"""Renders tables, figures and the page. Imports no torch."""
