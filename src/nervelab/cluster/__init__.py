"""A cluster's view of the trainings: its queue, why a job ended, and what Snakemake makes of that."""
