"""The instrument: moments of activations, their eigenspectrum, and the metrics read from it."""
