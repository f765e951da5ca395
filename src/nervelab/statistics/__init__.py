"""From arrays to estimates with intervals. Nothing here knows of NerVE or of runs."""
