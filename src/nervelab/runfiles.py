"""The files of a run. Apart from `layout`, because the trainer writes them: a change here changes what a run is."""

SPECTRA = "spectra.parquet"
EIGENVALUES = "eigenvalues.parquet"
HISTORY = "history.parquet"
WEIGHTS = "model.safetensors"
TIMING = "timing.parquet"
ESTIMATORS = "estimators.parquet"
ENVIRONMENT = "environment.json"
RUN_JSON = "run.json"

# Equal, byte for byte, between two executions of a run on one machine; run.json holds their sha256.
RUN_RESULTS = (SPECTRA, EIGENVALUES, HISTORY, WEIGHTS)
# What may differ between two executions.
RUN_CIRCUMSTANCES = (TIMING, ESTIMATORS, ENVIRONMENT)
RUN_FILES = (*RUN_RESULTS, *RUN_CIRCUMSTANCES, RUN_JSON)
