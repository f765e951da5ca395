"""How often each kind of interval held the true value on made-up data: of 400 trials at the 95 % level.

The trials are `tests/statistics/coverage_cases.py`; a test marked slow makes these numbers again.
"""

TRIALS = 400
WANTED = (0.90, 0.98)
COVERAGE: dict[str, float] = {
    "level_of_a_model": 0.9300,
    "noisiest_model": 0.8875,
    "a_model_on_one_seed": 0.9550,
    "paired_contrast": 0.9300,
    "unpaired_contrast": 0.9025,
    "pearson_over_runs": 0.9500,
    "spearman_over_runs": 0.9350,
    "difference_of_correlations": 0.9650,
    "share_of_a_count": 0.9875,
    "mean_over_widths": 0.9575,
    "mean_correlation_over_widths": 0.9575,
    "slope_over_widths": 0.9500,
    "mean_over_checkpoints": 0.9750,
    "pearson_over_checkpoints": 0.9275,
    "spearman_over_checkpoints": 0.9775,
    "shift_over_checkpoints": 0.9375,
    "rank_correlation_over_architectures": 0.9700,
    "partial_over_architectures": 0.9800,
}
"""By kind of interval."""
BEYOND = {
    "noisiest_model": "of five models, the one whose noise is the largest: what the others say makes its own too small",
    "share_of_a_count": "Clopper and Pearson's holds at least as often as it says of any share; of few it is wide",
}
"""The kinds that hold less often or more often than `WANTED`, and why they stand."""
