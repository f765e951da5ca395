"""Parameter groups by role, and the optimisers built over them."""
