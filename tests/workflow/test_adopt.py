"""`nervelab adopt` with the real tools: a refactoring trains nothing, a change of numbers is refused by name."""

from __future__ import annotations

import json
import re

import pytest

from tests.support.project import Project

ID = re.compile(rb"-[0-9a-f]{10}\b")


def refactor(project: Project) -> None:
    """A helper of the trainer is renamed, a module of the models split, in a way that changes no number."""
    source = project.folder / "src" / "nervelab"
    for path in source.rglob("*.py"):
        text = path.read_text()
        path.write_text(text.replace("learning_rate_factor", "share_of_the_peak_rate"))
    ffn = source / "models" / "ffn.py"
    ffn.write_text(ffn.read_text() + "\nfrom nervelab.models.more import NOTHING  # noqa: E402, F401\n")
    (source / "models" / "more.py").write_text("NOTHING = None\n")


def without_ids(results: dict[str, bytes]) -> dict[str, bytes]:
    """What is rendered, with the ids of runs blotted out; the runs themselves are left out."""
    kept = {name: content for name, content in results.items() if name.startswith("results/tables")}
    kept |= {name: results[name] for name in results if name.endswith((".svg", "findings.csv"))}
    return {name: ID.sub(b"-ID", content) for name, content in kept.items()}


def adoption(project: Project, name: str) -> list[dict]:
    return json.loads((project.folder / "runs" / "laptop" / name / "adoption.json").read_text())["adoptions"]


def test_after_a_refactoring_in_a_pulled_clone_every_run_is_adopted_and_nothing_is_trained(pulled: Project):
    before, names = without_ids(pulled.results()), set(pulled.runs())
    refactor(pulled)
    assert pulled.jobs("train") == 4
    assert "adopted 4 runs, 0 refused, 0 not kept" in pulled.run("nervelab adopt")
    assert pulled.jobs("train") == 0
    new = set(pulled.runs()) - names
    assert {name.rpartition("-")[0] for name in new} == {name.rpartition("-")[0] for name in names}
    replayed = [name for name in new if adoption(pulled, name)[-1]["replayed"]]
    for name in new:
        (step,) = adoption(pulled, name)
        assert step["from"]["name"] in names
        assert step["bitwise"]
        assert step["recomputed"]["batch order"] == "every step"
        assert step["replayed"] or set(step["covered_by"]) <= set(replayed)
    pulled.run("nervelab check")

    assert "dvc commit" in pulled.run("nervelab build")
    assert without_ids(pulled.results()) == before
    assert "4 runs were trained by earlier code" in (pulled.folder / "results" / "index.html").read_text()
    pulled.run("dvc commit -f")
    assert pulled.dvc_is_clean()
    assert pulled.snakemake_is_clean()

    path = pulled.folder / "runs" / "laptop" / min(new) / "adoption.json"
    path.write_text(path.read_text().replace("every step", "every Step"))
    assert f"{path.relative_to(pulled.folder)} is damaged" in pulled.run("nervelab check", fails=True)


PLANTED = {
    "the floor of the cosine": (
        "training/schedule.py",
        "return training.final_lr + (1 - training.final_lr) * left",
        "return max(0.2, training.final_lr + (1 - training.final_lr) * left)",
        "the rate factor of step",
    ),
    "the order of the batches late in training": (
        "data/batches.py",
        "def training_batch(",
        "def training_batch(self, *, step: int, **others):\n"
        "        return self.training_batch_of(step=step + (step >= 10), **others)\n\n"
        "    def training_batch_of(",
        "the batch of step 10 is another",
    ),
    "the rule that calls a run stuck": (
        "training/outcome.py",
        "loss > unigram_loss - training.stuck_margin",
        "loss > unigram_loss - training.stuck_margin - 10",
        "the outcome: finished kept, stuck made",
    ),
    "the eps of a norm": (
        "models/norms.py",
        "nn.LayerNorm,",
        "partial(nn.LayerNorm, eps=1e-4),",
        "history.parquet: eval_loss at step 20",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("planted", PLANTED)
def test_a_change_of_numbers_is_refused_by_name_and_its_runs_left_alone(built: Project, planted: str):
    file, old, new, said = PLANTED[planted]
    names = set(built.runs())
    built.edit(f"src/nervelab/{file}", old, new)
    answer = built.run("nervelab adopt", fails=True)
    refused = [line for line in answer.splitlines() if line.startswith("refused: ")]
    assert refused
    assert all(said in line for line in refused), answer
    assert set(built.runs()) - names == {
        name for name in built.runs() if (built.folder / "runs" / "laptop" / name / "adoption.json").exists()
    }
    for name in names:
        assert any(name in line for line in refused) or len(refused) < 4


@pytest.mark.slow
def test_an_adopted_run_is_adopted_again_and_leads_back_to_the_code_that_trained_it(built: Project):
    names = set(built.runs())
    refactor(built)
    built.run("nervelab adopt")
    built.run("nervelab prune --yes")  # so that the first adoption is what is adopted
    built.edit("src/nervelab/models/more.py", "NOTHING = None", "NOTHING = 0")
    built.run("nervelab adopt --all")
    assert built.jobs("train") == 0
    again = 0
    for name in built.runs():
        steps = adoption(built, name)
        if len(steps) == 2:
            again += 1
            assert steps[0]["from"]["name"] in names
            assert steps[0]["to"] == steps[1]["from"]
            assert steps[1]["replayed"]
    assert again == 4
    built.run("nervelab check")
