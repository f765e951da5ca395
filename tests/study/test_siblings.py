"""The rule for siblings: its numbers, what it refuses, and that pre-activations start as large as in the paper's."""

from __future__ import annotations

import math
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from nervelab.errors import NervelabError
from nervelab.models.mixer import CHANNELS
from nervelab.study.components import MODEL_FAMILIES
from nervelab.study.config import DecoderModel, MixerModel
from nervelab.study.params import Base, read_params
from nervelab.study.runs import Run, load_project
from nervelab.study.siblings import DERIVED, Sibling, sibling_of
from tests.support.project_files import PARAMS, edited

DECODER = {
    "family": "decoder",
    "d_model": 768,
    "layers": 12,
    "heads": 12,
    "context": 128,
    "width_multiple": 4,
    "activation": "gelu",
    "placement": "preln",
    "final_norm": "layernorm",
    "tied_embeddings": True,
    "biases": [],
    "init_std": 0.02,
    "embedding_std": 0.02,
    "embedding_dropout": 0.1,
}
MIXER = {
    "family": "mixer",
    "d_model": 768,
    "layers": 12,
    "image": 32,
    "patch": 4,
    "token_width": 384,
    "width_multiple": 4,
    "token_activation": "gelu",
    "activation": "gelu",
    "norm": "layernorm",
}
SIBLING = Sibling(d_model=64, layers=4)
SEEDS = range(3)
SEQUENCES = 4
NEAR = 0.15  # of the scale of pre-activations at step 0


def changed(settings: dict[str, Any], sibling: Sibling = SIBLING, **others: Any) -> dict[str, Any]:
    """What the sibling of a model has otherwise than the model."""
    model = (MixerModel if settings["family"] == "mixer" else DecoderModel)(**settings | others)
    made, before = sibling_of(model, sibling), model.model_dump(mode="json")
    assert made.keys() == before.keys()
    return {key: value for key, value in made.items() if value != before[key]}


def test_a_decoders_sibling_is_narrow_shallow_and_drawn_with_more():
    assert changed(DECODER) == {
        "d_model": 64,
        "layers": 4,
        "heads": 4,  # 12 / sqrt(12) = 3.46
        "init_std": pytest.approx(0.0692820323),  # 0.02 sqrt(768 / 64)
    }


def test_what_follows_from_the_shapes_stays_so():
    assert "init_std" not in changed(DECODER, init_std="fan")
    assert changed(DECODER, depth_scaled=True) == changed(DECODER)  # the model divides by its own depth


@pytest.mark.parametrize(
    ("width", "heads", "to", "as_wide"),
    [
        (2048, 12, Sibling(d_model=64, layers=4), {"ffn_width": 168, "heads": 4}),  # 170.7; 3.46
        (1368, 8, Sibling(d_model=64, layers=4), {"ffn_width": 112, "heads": 2}),  # 114; 2.31
        (2048, 12, Sibling(d_model=96, layers=8), {"ffn_width": 256, "heads": 4}),  # 256; 4.24
        (5, 12, Sibling(d_model=2, layers=1), {"ffn_width": 8, "heads": 1}),  # the least there is
    ],
)
def test_a_width_that_is_no_multiple_is_scaled_to_the_nearest_multiple_of_8(
    width: int, heads: int, to: Sibling, as_wide: dict[str, int]
):
    found = changed(DECODER, to, width_multiple=None, ffn_width=width, heads=heads)
    assert {key: found[key] for key in as_wide} == as_wide


@pytest.mark.parametrize(
    ("d_of_the_paper", "heads", "d_model", "fewer"),
    [
        (1024, 16, 64, 4),  # 16 / 4
        (1024, 16, 72, 4),  # 4.24; of 72 also 3 and 6 leave an even width
        (768, 6, 64, 2),  # 1.73
        (512, 8, 48, 2),  # sqrt(6), as near to 2 as to 3
        (2048, 32, 96, 6),  # 6.93
        (768, 12, 6, 1),  # 2 and 6 would leave odd widths
    ],
)
def test_heads_leave_an_even_width_and_are_the_nearest_by_ratio(
    d_of_the_paper: int, heads: int, d_model: int, fewer: int
):
    found = changed(DECODER, Sibling(d_model=d_model, layers=4), d_model=d_of_the_paper, heads=heads)
    assert found["heads"] == fewer


def test_a_mixers_sibling_has_the_width_over_patches_scaled():
    assert changed(MIXER) == {"d_model": 64, "layers": 4, "token_width": 32}


@pytest.mark.parametrize("scale", ["smoke", "laptop"])
def test_every_base_below_the_papers_scale_is_a_sibling_and_keeps_all_else(scale: str):
    params = read_params(PARAMS)
    compared = 0
    for by_scale in params.bases.values():
        if "paper" not in by_scale or scale not in by_scale:
            continue
        base, papers = by_scale[scale], by_scale["paper"]
        own, theirs = (each.model.model_dump(mode="json") for each in (base, papers))
        of_the_budget = {"context", "embedding_dropout", "patch"}
        assert {key for key in own if own[key] != theirs[key]} <= {*DERIVED, *of_the_budget}
        assert own == sibling_of(papers.model, base.sibling) | {key: own[key] for key in of_the_budget & own.keys()}
        assert {key: each.model_dump() for key, each in base.optimisers.items()} == {
            key: each.model_dump() for key, each in papers.optimisers.items()
        }
        schedule = ("windows", "warmup", "decay", "decay_share", "final_lr", "clip", "augmentation", "stuck_margin")
        assert all(getattr(base.training, key) == getattr(papers.training, key) for key in schedule)
        compared += 1
    assert compared >= 9


def test_depth_is_that_of_the_sibling_where_it_derives_from_another():
    bases = read_params(PARAMS).bases
    deep, papers = bases["gpt2-codeparrot-deep"]["laptop"], bases["gpt2-codeparrot"]["paper"]
    assert deep.model.layers == papers.model.layers
    assert deep.model.model_dump(exclude={"layers"}) == bases["gpt2-codeparrot"]["laptop"].model.model_dump(
        exclude={"layers"}
    )


STATED = "model: {context: 64, embedding_dropout: 0.0}"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        *(
            (STATED, f"model: {{context: 64, {key}: {value}}}", rf"laptop\.model\.{key}: follows from the paper's")
            for key, value in (("d_model", 64), ("layers", 4), ("heads", 4), ("ffn_width", 64), ("init_std", 0.02))
        ),
        ("sibling: {d_model: 64,", "sibling: {d_model: 63,", r"laptop\.sibling\.d_model: d_model \(63\) must be even"),
        ("sibling: {d_model: 64,", "sibling: {width: 64,", r"laptop\.sibling\.width: this key is not known"),
        ("sibling: {d_model: 64, layers: 4}", "sibling: {d_model: 64}", r"laptop\.sibling\.layers: this key is missi"),
        (
            "    paper:\n",
            "    paper:\n      sibling: {d_model: 64, layers: 4}\n",
            r"paper\.sibling: the paper's own mo",
        ),
    ],
)
def test_what_is_refused_names_file_and_key(tmp_path: Path, old: str, new: str, said: str):
    with pytest.raises(NervelabError, match=rf"bases\.yaml: bases\.gpt2-codeparrot\.{said}"):
        read_params(edited(tmp_path, "config/bases.yaml", old, new))


def test_what_a_scale_changes_of_it_is_refused_where_it_stands(tmp_path: Path):
    path = edited(
        tmp_path, "params.yaml", "      training: {batch: 8,", "      model: {heads: 2}\n      training: {batch: 8,"
    )
    with pytest.raises(NervelabError, match=r"params\.yaml: scales\.laptop\.changes\.model\.heads: follows from"):
        read_params(path)


def scales_of_pre_activations(model: DecoderModel | MixerModel, outputs: int, seed: int) -> dict[str, float]:
    """The standard deviation of the pre-activations of every FFN at step 0, by map, up projections beside gates too."""
    torch.manual_seed(seed)
    network = import_module(MODEL_FAMILIES[model.family]).build(model, outputs).eval()
    if model.family == "mixer":
        inputs = torch.randn(SEQUENCES, CHANNELS, model.image, model.image)
    else:
        inputs = torch.randint(outputs, (SEQUENCES, model.context))
    found: dict[str, float] = {}
    for name, module in network.named_modules():
        if name.endswith((".up", ".gate")):
            module.register_forward_hook(lambda _, __, output, name=name: found.update({name: output.std().item()}))
    with torch.no_grad():
        network(inputs)
    return found


def ratios(run: Run, bases: dict[str, dict[str, Base]], **changes: Any) -> dict[str, float]:
    """The scale of pre-activations of a run's model to that of the paper's model of its kind, map by map.

    The former starts as the rule has it, with the paper's embeddings whatever its recipe says, but for `changes`; the
    latter is as deep and as long as the sibling and has its outputs: what is left to the budget is no matter of the
    rule. Three seeds are averaged.
    """
    papers = bases[run.settings["base"]]["paper"].model
    by_rule = {"embedding_std": papers.embedding_std} if papers.family == "decoder" else {}
    own = run.config.model.model_copy(update=by_rule | changes)
    of_the_run = {
        key for key in own.model_dump() if key not in (*DERIVED, "patch", "embedding_dropout", "embedding_std")
    }
    papers = papers.model_copy(update={key: getattr(own, key) for key in ("layers", *of_the_run)})
    summed = [[scales_of_pre_activations(model, run.config.outputs, seed) for seed in SEEDS] for model in (own, papers)]
    assert summed[0][0].keys() == summed[1][0].keys()
    return {
        name: sum(each[name] for each in summed[0]) / sum(each[name] for each in summed[1]) for name in summed[0][0]
    }


def models() -> Iterator[Run]:
    """A run of each model of the laptop's studies at the width of its base: the rule keeps D / d."""
    bases, seen = read_params(PARAMS).bases, set()
    for run in load_project(PARAMS, "laptop").runs:
        usual = bases[run.settings["base"]]["laptop"].model
        same_width = getattr(run.config.model, "width_multiple", None) == getattr(usual, "width_multiple", None)
        model = (run.settings["base"], run.config.model.model_dump_json())
        if same_width and model not in seen:
            seen.add(model)
            yield run


def modelled(base: str, placement: str, activation: str) -> Run:
    asked = {"base": base, "model.placement": placement, "model.activation": activation}
    return next(run for run in models() if asked.items() <= run.settings.items())


@pytest.mark.parametrize("placement", ["preln", "none"])
def test_pre_activations_start_as_large_as_in_the_papers_model(placement: str):
    run = modelled("gpt2-codeparrot", placement, "gelu")
    found = ratios(run, read_params(PARAMS).bases)
    assert len(found) == run.config.model.layers
    assert all(abs(ratio - 1) < NEAR for ratio in found.values()), found


@pytest.mark.parametrize(
    ("placement", "changes", "times"),
    [
        ("preln", {"init_std": 0.02}, 0.29),  # maps as small as the paper's
        ("preln", {"embedding_std": 0.02 * math.sqrt(12)}, 1.0),  # as the recipes have it: norms take it back
        ("none", {"embedding_std": 0.02 * math.sqrt(12)}, math.sqrt(12)),
    ],
)
def test_what_other_starts_make_of_them(placement: str, changes: dict[str, float], times: float):
    run = modelled("gpt2-codeparrot", placement, "gelu")
    found = ratios(run, read_params(PARAMS).bases, **changes)
    assert len(found) == run.config.model.layers
    assert all(abs(ratio / times - 1) < 0.05 for ratio in found.values()), found
    assert run.config.model.embedding_std == pytest.approx(0.02 * math.sqrt(12))


@pytest.mark.slow
def test_in_every_model_of_the_studies_too():
    """All but the Mixer's FFNs over patches: their fan is the number of patches, which is left to the budget.

    These start as much larger as Glorot's deviation, sqrt(2 / (patches + width)), makes of patches of unit variance.
    """
    bases = read_params(PARAMS).bases
    found = {
        (run.settings["base"], run.slug, name): ratio for run in models() for name, ratio in ratios(run, bases).items()
    }
    over_patches = {key for key in found if key[-1].endswith("tokens.up")}
    assert len(found) > 100
    assert {key: found[key] for key in found.keys() - over_patches if abs(found[key] - 1) >= NEAR} == {}
    larger = math.sqrt((16 * 2 / (16 + 32)) / (64 * 2 / (64 + 384)))
    assert over_patches
    assert {key: found[key] for key in over_patches if abs(found[key] / larger - 1) >= NEAR} == {}
