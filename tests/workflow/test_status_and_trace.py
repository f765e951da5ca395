"""What `nervelab status`, `trace` and `check` say of a built project, in its states."""

from __future__ import annotations

import json
import re

from tests.support.project import Project


def stages(project: Project) -> dict[str, tuple[str, list[str]]]:
    content = json.loads(project.run("nervelab status --json"))
    return {each["what"]: (each["state"], each["why"]) for each in content["stages"]}


def test_status_says_what_is_stale_why_and_what_failed(built: Project):
    assert built.run("nervelab status").startswith("laptop: 4 of 4 runs done, results fresh\n")

    table = built.folder / "results" / "tables" / "settings.csv"
    kept = table.read_bytes()
    table.unlink()
    assert stages(built)["analyse"] == ("stale", ["results/tables/settings.csv was deleted"])
    table.write_bytes(kept)

    built.edit("params.yaml", "window_start: 0.15", "window_start: 0.3")
    assert stages(built)["aggregate"] == ("fresh", [])
    assert stages(built)["analyse"] == ("stale", ["the settings of analysis changed: window_start 0.15 -> 0.3"])
    built.run("git checkout -q -- params.yaml")

    tokens = next((built.folder / "data" / "tokens").glob("*/train.bin"))
    tokens.write_bytes(tokens.read_bytes()[:100])
    built.edit("params.yaml", "[gelu, relu]", "[gelu, swiglu]")
    sentence = built.run("nervelab build trained", fails=True).split("error: ")[-1].strip()
    assert tokens.relative_to(built.folder).as_posix() in sentence
    said = json.loads(built.run("nervelab status --json"))
    failed = [row for row in said["runs"] if row["state"] == "failed"]
    assert {row["said"] for row in failed} == {sentence}
    assert {row["model.activation"] for row in failed} == {"swiglu"}
    assert said["counts"]["finished"] == 2


def test_a_number_of_the_results_is_traced_to_its_run(built: Project):
    said = built.run("nervelab trace results/tables/quantities.csv:1:eval_loss")
    name, recorded = first(built)
    assert f"  {name}  id {recorded['id']}, finished\n" in said
    assert f"code {recorded['fingerprint']}\n" in said
    assert re.search(r"tokens [0-9a-f]{10}, manifest sha256 [0-9a-f]{64}\n", said)
    assert said.endswith(f"recomputed: {recorded['final']['eval_loss']} equals the file\n")
    assert "warning" not in built.run("nervelab check")


def first(project: Project) -> tuple[str, dict]:
    """The run of the first row of the tables: the first of runs.json."""
    name = json.loads((project.folder / "results" / "runs.json").read_text(encoding="utf-8"))["runs"][0]["name"]
    return name, project.runs()[name]
