"""Studies resolve to runs with stable identities."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from nervelab.errors import NervelabError
from nervelab.study.components import OPTIMISERS
from nervelab.study.runs import Project, covering, load_project
from tests.support.project_files import saved, written

ROOT = Path(__file__).resolve().parents[2]
RECIPE = {"steps": 800, "rates": [{"lr": 3.0e-3}]}


@pytest.fixture
def params(tmp_path: Path) -> dict:
    return written()


def resolved(tmp_path: Path, params: dict, scale: str | None = None) -> Project:
    return load_project(saved(tmp_path, params), scale)


def only(params: dict, study: str) -> dict:
    return params | {"studies": {study: params["studies"][study]}}


def names(project: Project) -> list[str]:
    return [run.name for run in project.runs]


REPEATED = [(placement, activation) for placement in ("preln", "none") for activation in ("gelu", "relu")]
CORE = [*REPEATED, ("none", "learnable-leaky-relu")]
ARCHITECTURES = [*CORE, ("preln", "geglu"), ("preln", "swiglu")]


def points(project: Project, study: str) -> list[tuple]:
    keys = ("model.placement", "model.activation", "model.width_multiple", "seed")
    return [tuple(run.settings[key] for key in keys) for run in project.runs if study in run.studies]


@pytest.mark.parametrize("scale", ["laptop", "paper"])
def test_the_studies_of_gpt2_are_those_of_sections_3_1_to_3_5_and_of_appendix_g(scale: str):
    project = load_project(ROOT / "params.yaml", scale)
    seeds = (0, 1, 2) if scale == "laptop" else (0,)
    assert set(points(project, "activation")) == {(*each, 4, seed) for each in CORE for seed in seeds}
    assert set(points(project, "width")) == {
        *((*each, width, 0) for each in ARCHITECTURES for width in range(1, 9)),
        *((*each, 4, seed) for each in REPEATED for seed in seeds[1:]),
    }
    assert set(points(project, "placement")) == {
        *((each, "gelu", width, 0) for each in ("preln", "mixln", "postln") for width in range(1, 9)),
        ("released", "gelu", 4, 0),
    }
    core = [run for run in project.runs if set(run.studies) & {"activation", "width", "placement", "fidelity"}]
    configurations = {run.slug.rpartition("-s")[0] for run in core}
    assert len(configurations) == 7 * 8 + 2 * 8 + 1
    (estimated,) = [run for run in project.runs if "fidelity" in run.studies]
    assert (estimated.studies, estimated.off_base) == (("fidelity",), ("measure.estimators",))
    assert points(project, "fidelity") == [("preln", "gelu", 4, 0)]
    short = len(configurations) + (len(seeds) - 1) * len(REPEATED) + 1
    long = len(seeds) * len(CORE) + 2 + 2 * 2  # of other placements, and the least and the greatest width of two
    by_recipe = {("short",): short, ("long",): long} if scale == "laptop" else {("long", "short"): short}
    assert Counter(run.recipes for run in core) == by_recipe
    measured = {run.config.measure.tokens or run.config.training.batch * run.config.model.context for run in core}
    assert len(measured) == 1
    widest = max(run.config.model.width_multiple * run.config.model.d_model for run in core)
    assert min(measured) > widest


def test_two_studies_share_a_run(tmp_path: Path, params: dict):
    params = only(params, "activation")
    before = names(resolved(tmp_path, params))
    params["studies"]["again"] = params["studies"]["activation"] | {
        "axes": [{"model.width_multiple": [4, 8], "model.activation": ["gelu"]}],
    }
    project = resolved(tmp_path, params)
    assert names(project)[: len(before)] == before
    assert len(project.runs) == len(before) + 1
    assert project.runs[0].studies == ("activation", "again")


def test_an_edit_of_one_setting_changes_the_ids_it_concerns(tmp_path: Path, params: dict):
    params = only(params, "activation")
    before = names(resolved(tmp_path, params))
    params["bases"]["gpt2-codeparrot"]["paper"]["training"]["steps"] = 5
    assert names(resolved(tmp_path, params)) == before
    params["recipes"]["long"]["steps"] += 1
    assert not set(names(resolved(tmp_path, params))) & set(before)


def test_names_of_things_and_their_order_in_the_file_do_not_matter(tmp_path: Path, params: dict):
    params = only(params, "activation") | {"recipes": {"long": RECIPE}}
    before = names(resolved(tmp_path, params))
    params["datasets"]["renamed"] = params["datasets"].pop("python-packages")
    params["datasets"]["python-packages-small"]["from"] = "renamed"
    laptop = params["bases"]["gpt2-codeparrot"]["laptop"]
    laptop["dataset"] = "renamed"
    params["bases"] = {"gpt2-codeparrot": params["bases"]["gpt2-codeparrot"]}
    laptop["model"] = dict(reversed(laptop["model"].items()))
    params["recipes"] = {"renamed": RECIPE}
    params["studies"]["activation"]["recipe"] = "renamed"
    params["studies"]["other-name"] = params["studies"].pop("activation")
    assert names(resolved(tmp_path, params)) == before


def test_the_data_counts_in_the_id(tmp_path: Path, params: dict):
    params = only(params, "activation")
    before = names(resolved(tmp_path, params))
    params["datasets"]["python-packages"]["megabytes"] = 11.0
    assert not set(names(resolved(tmp_path, params))) & set(before)


def test_a_local_folder_counts_by_its_content(tmp_path: Path, params: dict):
    params = only(params, "activation")
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "a.py").write_text("x = 1\n")
    params["datasets"]["python-packages"]["source"] = {
        "kind": "folder",
        "path": str(texts),
        "suffix": ".py",
        "licence": "mine",
    }
    before = names(resolved(tmp_path, params))
    (texts / "a.py").write_text("x = 2\n")
    assert not set(names(resolved(tmp_path, params))) & set(before)


def test_covering_shows_each_component_once_and_stays_small(tmp_path: Path, params: dict):
    all_runs = resolved(tmp_path, params, "laptop").runs
    few = covering(all_runs)
    named, covered = (
        {(key, value) for run in runs for key, value in run.settings.items() if isinstance(value, str)}
        for runs in (all_runs, few)
    )
    assert covered == named
    assert any(run.config.measure.by_position for run in few)
    assert len(few) <= 20
    assert len(resolved(tmp_path, params, "smoke").runs) == len(few)


def test_any_setting_of_the_base_can_be_an_axis(tmp_path: Path, params: dict):
    params = only(params, "activation") | {"recipes": {"long": RECIPE}}
    params["studies"]["activation"]["axes"] = [{"training.steps": [500, 800], "optimiser.lr": [1.0e-3, 3.0e-3]}]
    project = resolved(tmp_path, params)
    assert [(run.config.training.steps, run.config.optimiser.lr) for run in project.runs] == [
        (500, 1.0e-3),
        (500, 3.0e-3),
        (800, 1.0e-3),
        (800, 3.0e-3),
    ]
    assert [run.off_base for run in project.runs] == [
        ("training.steps", "optimiser.lr"),
        ("training.steps",),
        ("optimiser.lr",),
        (),
    ]
    assert project.runs[0].settings["training.steps"] == 500


@pytest.mark.parametrize("scale", ["smoke", "laptop", "paper"])
def test_every_optimiser_can_be_an_axis_by_name(tmp_path: Path, params: dict, scale: str):
    before = load_project(ROOT / "params.yaml", scale, "activation").runs[0]
    params = only(params, "activation")
    optimisers = params["bases"]["gpt2-codeparrot"]["paper"]["optimisers"]
    for base in params["bases"]:
        for name in params["bases"][base].get("paper", {}).get("optimisers", {}):
            optimisers.setdefault(name, {"from": f"{base}.paper.optimisers.{name}"})
    for name in ("muon", "dion"):  # the head is tied here
        optimisers[name]["rest"] = {"head_lr": None}
    params["recipes"]["long"]["rates"].insert(0, {"lr": 0.5})
    params["studies"]["activation"]["axes"] = [{"optimiser": list(OPTIMISERS)}]
    params["scales"][scale]["runs"] = "all"
    project = resolved(tmp_path, params, scale)
    assert [run.slug for run in project.runs] == [f"decoder-preln-gelu-4d-{name}-s0" for name in OPTIMISERS]
    assert [run.config.optimiser.name for run in project.runs] == list(OPTIMISERS)
    assert len({run.fingerprint for run in project.runs}) == len(OPTIMISERS)
    assert project.runs[0].name == before.name


def test_a_base_is_an_axis_and_what_a_run_has_is_held_against_its_own(tmp_path: Path, params: dict):
    params = only(params, "llama")
    project = resolved(tmp_path, params)
    assert [run.settings["base"] for run in project.runs] == ["llama-71m"] * 3 + ["llama-130m"] * 3 + [
        "llama-250m"
    ] * 2 + ["llama-1.3b"] * 2
    assert [run.off_base for run in project.runs[:3]] == [(), ("model.placement",), ("model.placement",)]
    params["studies"]["llama"]["axes"][0]["base"] = ["llama-7b"]
    with pytest.raises(NervelabError, match=r"studies\.llama: there is no base 'llama-7b'; use one of gpt2-codeparrot"):
        resolved(tmp_path, params)


def test_the_rate_of_the_rest_can_be_an_axis(tmp_path: Path, params: dict):
    params = only(params, "optimiser") | {"recipes": {"short": RECIPE}}
    params["studies"]["optimiser"]["axes"] = [{"optimiser": ["muon"], "optimiser.rest.lr": [1.0e-3, 2.0e-3]}]
    rates = [(run.config.optimiser.lr, run.config.optimiser.rest.lr) for run in resolved(tmp_path, params).runs]
    assert rates == [(3.0e-3, 1.0e-3), (3.0e-3, 2.0e-3)]


def test_the_rate_of_the_head_can_be_an_axis(tmp_path: Path, params: dict):
    params = only(params, "optimiser")
    axes = {"optimiser": ["muon"], "model.tied_embeddings": [False], "optimiser.rest.head_lr": [None, 2.0e-3]}
    params["studies"]["optimiser"]["axes"] = [axes]
    runs = resolved(tmp_path, params).runs
    assert [run.config.optimiser.rest.head_lr for run in runs] == [None, 2.0e-3]
    assert len({run.id for run in runs}) == 2
    axes["model.tied_embeddings"] = [True]
    with pytest.raises(NervelabError, match=r"studies\.optimiser.*tied head is the embedding.*leave head_lr"):
        resolved(tmp_path, params)


def test_a_scale_may_take_seed_0_alone(tmp_path: Path, params: dict):
    params = only(params, "activation")
    params["scales"]["laptop"]["seeds"] = "zero"
    assert [run.config.seed for run in resolved(tmp_path, params).runs] == [0] * len(CORE)


def test_seeds_repeat_every_run(tmp_path: Path, params: dict):
    for block in params["studies"]["activation"]["axes"]:
        block["seed"] = [0]
    params = only(params, "activation")
    once = resolved(tmp_path, params).runs
    for block in params["studies"]["activation"]["axes"]:
        block["seed"] = [0, 1]
    twice = resolved(tmp_path, params).runs
    assert len(twice) == 2 * len(once)
    assert {run.name for run in once} <= {run.name for run in twice}
    assert all(run.off_base == again.off_base for run, again in zip(twice[::2], twice[1::2], strict=True))


def test_the_slug_comes_from_the_config_alone():
    runs = load_project(ROOT / "params.yaml", "laptop").runs
    assert runs[14].slug == "decoder-normfree-learnable-leaky-relu-4d-adamw-s2"
    slugs = {run.slug for run in runs}
    assert "decoder-normfree-spectral-norm-learnable-leaky-relu-4d-adamw-s0" in slugs
    assert "decoder-postln-rmsnorm-rope-swiglu-D128-adam-s0" in slugs
    assert "decoder-preln-rmsnorm-nope-swiglu-4d-adamw-s0" in slugs
    assert "mixer-rmsnorm-gelu-gelu-adam-s0" in slugs


def test_resolving_imports_no_torch():
    """The DAG must parse fast: torch alone takes seconds."""
    code = (
        "import sys; from nervelab.stages.targets import Targets; Targets.of(); "
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not {"torch", "polars", "numpy", "matplotlib"} & set(loaded.stdout.split())


def other_pythons() -> list[str]:
    found = []
    for minor in (11, 12, 13, 14):
        if minor == sys.version_info.minor:
            continue
        for candidate in (shutil.which(f"python3.{minor}"), *map(str, _pyenv(minor))):
            if candidate and subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
                found.append(candidate)
                break
    return found


def _pyenv(minor: int) -> list[Path]:
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    return sorted(root.glob(f"versions/3.{minor}.*/bin/python3.{minor}"))


def test_ids_agree_between_python_versions(tmp_path: Path):
    pythons = other_pythons()
    if not pythons:
        pytest.skip("there is no second Python here; the golden hashes of test_fingerprint.py still hold")
    code = (
        "import json, sys; from nervelab.study.runs import load_project; "
        "print(json.dumps([sys.version_info[:2], [run.name for run in load_project().runs]]))"
    )
    here = names(load_project(ROOT / "params.yaml"))
    for python in pythons[-1:]:
        environment = tmp_path / "venv"
        subprocess.run([python, "-m", "venv", str(environment)], check=True)
        pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "-q", "pydantic", "pyyaml"]
        subprocess.run(pip, check=True, capture_output=True)
        answer = subprocess.run(
            [str(environment / "bin" / "python"), "-c", code],
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT / "src"), "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=True,
        )
        version, there = json.loads(answer.stdout)
        assert tuple(version) != sys.version_info[:2]
        assert there == here
