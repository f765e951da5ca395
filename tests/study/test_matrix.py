"""The paper's list of trainings: every row and axis of its experiments, with the hyper-parameters it prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from nervelab.status.parameters import parameter_count
from nervelab.study.runs import Project, Run, load_project
from nervelab.training.schedule import measuring_steps

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def paper() -> Project:
    return load_project(ROOT / "params.yaml", "paper")


def over(project: Project, base: str, *keys: str) -> set[tuple]:
    runs = [run for run in project.runs if run.settings["base"] == base and not measured_otherwise(run)]
    return {tuple(run.settings.get(key) for key in keys) for run in runs}


def measured_otherwise(run: Run) -> bool:
    """Whether it is the training of another run, with further measurements."""
    measure = run.config.measure
    return len(measure.estimators) > 1 or (measure.by_position and run.config.model.family == "decoder")


def first(project: Project, base: str) -> Run:
    return next(run for run in project.runs if run.settings["base"] == base)


def test_about_120_trainings_one_seed_each(paper: Project):
    assert {run.config.seed for run in paper.runs} == {0}
    assert len([run for run in paper.runs if not measured_otherwise(run)]) == 121
    assert len([run for run in paper.runs if measured_otherwise(run)]) == 6


def test_metrics_by_position_are_taken_of_the_models_of_the_papers_figure(paper: Project):
    by_position = [run for run in paper.runs if run.config.measure.by_position]
    decoders = {
        (run.settings["model.placement"], run.settings["model.activation"])
        for run in by_position
        if run.config.model.family == "decoder"
    }
    norm_free = {("none", "gelu"), ("none", "relu"), ("none", "learnable-leaky-relu")}
    assert decoders == {("preln", "gelu"), ("preln", "relu")} | norm_free
    mixers = [run for run in paper.runs if run.settings["base"] == "mixer-cifar100"]
    assert mixers == [run for run in by_position if run.config.model.family == "mixer"]


def test_the_laptop_trains_a_sibling_of_each_and_repeats_the_optimisers(paper: Project):
    laptop = load_project(ROOT / "params.yaml", "laptop")
    assert {run.slug for run in laptop.runs if run.config.seed == 0} >= {
        run.slug for run in paper.runs if run.config.model.family == "decoder" and run.config.model.width_multiple
    }
    repeated = {(run.settings["optimiser"], run.config.seed) for run in laptop.runs if "optimiser" in run.studies}
    assert repeated == {(optimiser, seed) for optimiser in ("adamw", "muon", "dion") for seed in (0, 1, 2)}


@pytest.mark.parametrize("scale", ["laptop", "paper"])
def test_every_axis_is_covered(scale: str):
    project = load_project(ROOT / "params.yaml", scale)
    core = "gpt2-codeparrot"
    normed = over(project, core, "model.norm", "model.placement", "model.activation")
    for norm in ("layernorm", "rmsnorm"):
        for placement in ("preln", "mixln", "postln"):
            for activation in ("gelu", "relu", "learnable-leaky-relu"):
                assert (norm, placement, activation) in normed
    geometries = over(project, core, "model.ffn_weights", "model.placement")
    assert {("weight-norm", "none"), ("spectral-norm", "none"), ("hyperspherical", "none")} <= geometries
    adafactor = over(project, core, "optimiser", "model.placement", "model.activation")
    assert {
        ("adafactor", placement, activation) for placement in ("preln", "none") for activation in ("gelu", "relu")
    } <= adafactor
    assert over(project, "gpt2-openwebtext", "model.positions") == {("rope",), ("none",)}
    for base in ("gpt2-160m-fineweb", "gpt2-160m-fineweb-long", "gpt2-350m-fineweb"):
        assert {("adamw",), ("muon",), ("dion",)} == over(project, base, "optimiser")
    for base in ("llama-71m", "llama-130m"):
        assert over(project, base, "model.placement") == {("preln",), ("mixln",), ("postln",)}
    for base in ("llama-250m", "llama-1.3b"):
        assert over(project, base, "model.placement") == {("preln",), ("mixln",)}
    mixers = over(project, "mixer-cifar100", "model.token_activation", "model.activation", "model.norm", "optimiser")
    assert mixers == {
        *((one, two, "layernorm", "adam") for one in ("gelu", "relu") for two in ("gelu", "relu")),
        ("gelu", "gelu", "rmsnorm", "adam"),
        ("gelu", "gelu", "layernorm", "sgd"),
    }


@pytest.mark.parametrize(
    ("base", "millions", "tokens"),
    [
        ("gpt2-codeparrot", 125, 2.7e9),
        ("gpt2-openwebtext", None, 26e9),
        ("gpt2-160m-fineweb", 162, 3000 * 1024 * 512),
        ("gpt2-160m-fineweb-long", 162, 3000 * 1024 * 1024),
        ("gpt2-350m-fineweb", 405, 3800 * 1024 * 512),
        ("llama-71m", 71, 10_000 * 512 * 256),
        ("llama-130m", 134, 20_000 * 512 * 256),
        ("llama-250m", 247, 20_000 * 512 * 256),
        ("llama-1.3b", 1339, 20_000 * 512 * 256),
        ("mixer-cifar100", 57.4, None),
    ],
)
def test_sizes_and_budgets_at_paper_scale(paper: Project, base: str, millions: float | None, tokens: float | None):
    run = first(paper, base)
    if millions is not None:
        assert parameter_count(run.config) / 1e6 == pytest.approx(millions, rel=0.02)
    training = run.config.training
    if tokens is None:
        assert training.steps * training.batch == pytest.approx(120 * 50_000, rel=0.002)
    else:
        assert training.steps * training.batch * run.config.model.context == pytest.approx(tokens, rel=0.02)


HIDDEN = ("matrix",)
MUON = {"lr": 0.02, "momentum": 0.95, "weight_decay": 0.01, "adjust_lr_fn": "spectral_unclamped"}
DION = {"lr": 0.02, "mu": 0.95, "rank_fraction": 0.5, "weight_decay": 0.01}
DIONS = {"warmup": 0, "decay": "linear", "decay_share": 0.2, "final_lr": 0, "clip": None, "batch": 1024}
LLAMA = {"name": "adam", "betas": (0.9, 0.999), "weight_decay": 0}
LLAMAS = {"decay": "cosine", "final_lr": 0.1, "clip": None, "batch": 512, "precision": "bfloat16"}
MIXERS = {"warmup": 5 * 390, "decay": "cosine", "final_lr": 0, "batch": 128}


@pytest.mark.parametrize(
    ("base", "optimiser", "training"),
    [
        (
            "gpt2-codeparrot",
            {
                "name": "adamw",
                "lr": 1e-3,
                "betas": (0.9, 0.999),
                "weight_decay": 0.1,
                "decay": (*HIDDEN, "embedding", "rmsnorm", "slope", "vector"),
            },
            {"warmup": 2050, "decay": "linear", "final_lr": 0, "clip": 1, "batch": 512, "precision": "float16"},
        ),
        (
            "gpt2-openwebtext",
            {"name": "adamw", "lr": 15e-4, "betas": (0.9, 0.95), "weight_decay": 0.1},
            {"warmup": 2000, "decay": "cosine", "final_lr": 0, "clip": 1, "batch": 512},
        ),
        *(
            (base, {"name": name, **settings}, DIONS)
            for base in ("gpt2-160m-fineweb", "gpt2-160m-fineweb-long", "gpt2-350m-fineweb")
            for name, settings in (("adamw", {"decay": HIDDEN, "weight_decay": 0.01}), ("muon", MUON), ("dion", DION))
        ),
        ("llama-71m", {**LLAMA, "lr": 1e-3}, {**LLAMAS, "warmup": 1000}),
        ("llama-130m", {**LLAMA, "lr": 1e-3}, {**LLAMAS, "warmup": 2000}),
        ("llama-250m", {**LLAMA, "lr": 1e-3}, {**LLAMAS, "warmup": 2000}),
        ("llama-1.3b", {**LLAMA, "lr": 5e-4}, {**LLAMAS, "warmup": 1000}),
        ("mixer-cifar100", {"name": "adam", "lr": 1e-3, "weight_decay": 5e-5}, MIXERS),
        ("mixer-cifar100", {"name": "sgd", "lr": 5e-2, "momentum": 0.9, "weight_decay": 1e-4}, MIXERS),
    ],
    ids=lambda value: value.get("name") if isinstance(value, dict) else value,
)
def test_hyper_parameters_are_those_the_paper_prints_or_its_sources(
    paper: Project, base: str, optimiser: dict, training: dict
):
    """What neither the paper nor the code that it follows says is not in the table; warm-up is in steps."""
    configs = [run.config for run in paper.runs if run.settings["base"] == base]
    configs = [config for config in configs if config.optimiser.name == optimiser["name"]]
    assert configs
    for config in configs:
        assert config.optimiser.model_dump().items() >= optimiser.items()
        chosen = config.training.model_dump() | {"warmup": round(config.training.warmup * config.training.steps)}
        assert chosen.items() >= training.items()
        if "rest" in config.optimiser.model_dump():
            assert (config.optimiser.rest.weight_decay, config.optimiser.rest.decay) == (0, ())
        steps = measuring_steps(config.measure, config.training.steps)
        if base == "mixer-cifar100":
            assert steps == tuple(390 * epoch for epoch in (0, 1, 10, 20, 40, 80, 120))
        else:
            assert steps == (*range(0, config.training.steps, 200), config.training.steps)


def test_mixln_makes_a_quarter_of_the_layers_postln(paper: Project):
    mixed = [run.config.model for run in paper.runs if run.settings.get("model.placement") == "mixln"]
    assert {model.layers * model.mixln_post_share for model in mixed} == {3, 6}


def test_every_text_run_of_the_laptop_measures_as_many_tokens():
    laptop = load_project(ROOT / "params.yaml", "laptop")
    assert {run.config.measure.tokens for run in laptop.runs if run.config.model.family == "decoder"} == {4096}


def test_what_a_stand_in_stands_for_is_said():
    laptop = load_project(ROOT / "params.yaml", "laptop")
    stand_ins = {run.config.dataset.stands_for for run in laptop.runs}
    assert stand_ins == {"CodeParrot", "OpenWebText", "FineWeb", "C4", "CIFAR-100"}


def test_outputs_are_those_of_the_papers_tokenizers_and_classes(paper: Project):
    assert {run.config.outputs for run in paper.runs} == {50_000, 50_257, 32_100, 100}
