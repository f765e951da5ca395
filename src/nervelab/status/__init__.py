"""What is there of what params.yaml asks for, what is being made, and why the rest is not there."""
