"""params.yaml as studies, runs and their identities. Imports no torch, so that the DAG parses fast."""
