"""NerVE Lab: what the feed-forward networks of a model do, read from the eigenspectrum of their activations."""
