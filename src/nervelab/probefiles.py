"""What the probe of a trained run leaves: its files, the activations that it measures, and by which columns."""

PROBES = "probes.parquet"
PROBE_JSON = "probe.json"
PROBE_FILES = (PROBES, PROBE_JSON)

TRAINED, UNTRAINED, GAUSSIAN, SHUFFLED = "trained", "untrained", "gaussian", "shuffled"
"""The activations of the trained network; of the one that its seed starts with; of draws with the mean and covariance
of the trained pre-activations, through the same nonlinearity; of the trained pre-activations, each principal
component shuffled over tokens, through the same nonlinearity."""
ACTIVATIONS_OF = (TRAINED, UNTRAINED, GAUSSIAN, SHUFFLED)

SPECTRAL_COLUMNS = ("se_pre", "se_post", "pr_pre", "pr_post", "eee_pre", "eee_post", "js")
OTHER_COLUMNS = (
    "unbiased_pr_pre",
    "unbiased_pr_post",
    "first_share_pre",
    "first_share_post",
    "active_share",
    "pre_activation_scale",
)
"""Beside the metrics of NerVE: PR without the bias of few tokens, the first eigenvalue's share of the trace, the share
of units and tokens whose activation is above 0, and the root mean square of the pre-activations."""
COLUMNS = (*SPECTRAL_COLUMNS, *OTHER_COLUMNS)
