"""What the paper prints, and the architectures that it names."""
