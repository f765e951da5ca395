"""params.yaml is read strictly: each mistake is one sentence with the key's path and the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from nervelab.errors import NervelabError
from nervelab.study.params import read_params
from nervelab.study.runs import load_project

PROJECT_PARAMS = Path(__file__).resolve().parents[2] / "params.yaml"


def edited(tmp_path: Path, old: str, new: str) -> Path:
    text = PROJECT_PARAMS.read_text()
    assert old in text
    path = tmp_path / "params.yaml"
    path.write_text(text.replace(old, new, 1))
    return path


def test_the_projects_own_params_are_valid():
    params = read_params(PROJECT_PARAMS)
    assert params.scale in params.scales


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("scale: laptop", "scale: desktop", r"scale: .*'smoke', 'laptop' or 'paper'.*'desktop'"),
        (
            "        steps: 280",
            "        stepz: 200",
            r"training\.(steps: this key is missing|stepz: this key is not known)",
        ),
        (
            "clip: 1.0",
            "clip: 1.0\n        clap: 1",
            r"bases\.gpt2-codeparrot\.smoke\.training\.clap: this key is not known",
        ),
        (
            "lr: 3.0e-3",
            "lr: 3e-3",
            r"bases\.gpt2-codeparrot\.smoke\.optimisers\.adamw\.lr: .*'3e-3'.*write 1\.0e-3",
        ),
        (
            "adamw: {name: adamw, lr: 3",
            "adamw: {name: lion, lr: 3",
            r"smoke\.optimisers\.adamw: 'lion' is no 'name' known here; use one of 'adamw', 'adam', 'sgd', .*'dion' ",
        ),
        ("adamw: {name: adamw, lr", "adamw: {lr", r"optimisers\.adamw: the key 'name' is missing; add it"),
        ("rank_fraction: 0.5", "rank_fraction: 0.0", r"smoke\.optimisers\.dion\.rank_fraction: .*greater than 0"),
        (
            "rank_fraction: 0.5",
            "rank_fraction: 1.5",
            r"smoke\.optimisers\.dion\.rank_fraction: .*less than or equal to 1",
        ),
        ("mu: 0.95", "mu: 1.0", r"smoke\.optimisers\.dion\.mu: .*less than 1"),
        ("adjust_lr_fn: spectral_unclamped", "adjust_lr_fn: rms", r"optimisers\.muon\.adjust_lr_fn: .*'rms'"),
        ("nesterov: false", "nesterov: 0.9", r"optimisers\.muon\.nesterov: .*boolean.* 0\.9"),
        ("ns_steps: 5", "ns_steps: 100", r"optimisers\.muon\.ns_steps: .*less than 100"),
        ("beta2_decay: -0.8", "beta2_decay: 0.8", r"optimisers\.adafactor\.beta2_decay: .*less than or equal to 0"),
        ("lr: 0.1\n          beta2", "lr: -0.1\n          beta2", r"optimisers\.adafactor\.lr: .*greater than 0"),
        ("lr: 0.1, momentum: 0.9", "lr: 0.1, mu: 0.9", r"optimisers\.sgd\.mu: this key is not known"),
        (
            "weight_decay: 0.0, decay: []}\n        dion",
            "weight_decay: 0.0, decay: [matrix]}\n        dion",
            r"smoke\.optimisers\.muon: rest\.decay names matrix, but rest trains no matrices",
        ),
        (
            "&small-rest {name: adamw",
            "&small-rest {name: adam",
            r"smoke\.optimisers\.muon\.rest\.name: .*'adamw'.*'adam'",
        ),
        ("steps: 280", "steps: '200'", r"training\.steps: .*valid integer.*'200'.*without quotes"),
        ("batch: 8", "batch: 0", r"training\.batch: .*greater than 0.* 0"),
        ("decay: cosine", "decay: no", r"training\.decay: .*False.*quotes"),
        (
            "heads: 4",
            "heads: 5",
            r"bases\.gpt2-codeparrot\.smoke\.model: heads \(5\) must divide d_model \(64\)",
        ),
        (
            "    optimiser: adamw",
            "    optimiser: lion",
            r"bases\.gpt2-codeparrot\.smoke\.optimiser refers to 'lion'",
        ),
        ("base: gpt2-codeparrot", "base: gpt3", r"studies\.activation\.base refers to 'gpt3'"),
        ("dataset: python-packages-small", "dataset: nothing", r"smoke\.dataset refers to 'nothing'"),
        (
            "model.placement: [preln]",
            "model.place: [preln]",
            r"studies\.activation\.axes\.0\.model\.place: there is no such",
        ),
        (
            "[gelu, relu, geglu, swiglu]",
            "[gelu, rellu]",
            r"studies\.activation\.axes\.0\.model\.activation: .*'rellu'",
        ),
        (
            "eval_tokens: 65536",
            "eval_tokens: 65537",
            r"bases\.gpt2-codeparrot\.laptop: training\.eval_tokens \(65537\) must be a multiple of model\.context",
        ),
        ("points: 12", "points: 12, every: 3", r"laptop\.measure: give either points or every"),
        ("scale: laptop", "scale: laptop\nscale: smoke", r"line \d+: the key scale is given twice"),
        ("scale: laptop", "scale: [laptop", r"params\.yaml, line \d+: .*mend the YAML"),
        ("validation: 0.08", "validation: 0.99", r"datasets\.python-packages: validation and test together"),
        (
            "seed: [0, 1, 2]",
            "seed: 3",
            r"studies\.activation\.axes\.0\.seed: should be a list in square brackets, but is 3",
        ),
        ("seed: [0, 1, 2]", "seed: [-1]", r"studies\.activation\.axes\.0\.seed: .*greater than or equal to 0"),
        (
            "model.placement: [preln]",
            "model.placement: []",
            r"studies\.activation\.axes\.0\.model\.placement: .*at least 1",
        ),
        ("window_start: 0.15", "window_start: 15%", r"analysis\.window_start: .*'15%'; write a plain number"),
        ("confidence: 0.95", "confidense: 0.95", r"analysis\.confidense: this key is not known"),
        ("seed: [0, 1, 2]", "seed: []", r"studies\.activation\.axes\.0\.seed: .*at least 1"),
        ("sha256: e091cc", "sha256: E091cc", r"datasets\.python-packages\.source\.packages\.0\.sha256"),
    ],
)
def test_a_mistake_is_one_sentence_with_the_keys_path(tmp_path: Path, old: str, new: str, said: str):
    path = edited(tmp_path, old, new)
    with pytest.raises(NervelabError, match=said) as caught:
        load_project(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_says_so(tmp_path: Path):
    with pytest.raises(NervelabError, match=r"params\.yaml is missing"):
        read_params(tmp_path / "params.yaml")


def test_a_scale_that_a_base_lacks_is_named(tmp_path: Path):
    path = edited(tmp_path, "    laptop:\n      dataset", "    smaller:\n      dataset")
    with pytest.raises(NervelabError, match=r"bases\.gpt2-codeparrot\.\S*"):
        load_project(path)
