"""What a trained network's spectra are beside: its own start, and nulls with its mean and covariance."""
