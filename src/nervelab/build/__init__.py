"""Starting the workflow: one build at a time, with a view of its progress."""
