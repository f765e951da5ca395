"""Words and numbers as readers meet them."""
