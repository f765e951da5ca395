"""The stages of the workflow: what each makes of what, where it lies, and which of it is fresh. Imports no torch."""
