"""The files of a run. Apart from `layout`, because the trainer writes them: a change here changes what a run is."""

RUN_JSON = "run.json"
# Equal, byte for byte, between two executions of a run on one machine; run.json holds their sha256.
RUN_RESULTS = ("spectra.parquet", "eigenvalues.parquet", "history.parquet", "model.safetensors")
# What may differ between two executions.
RUN_CIRCUMSTANCES = ("timing.parquet", "estimators.parquet", "environment.json")
RUN_FILES = (*RUN_RESULTS, *RUN_CIRCUMSTANCES, RUN_JSON)
