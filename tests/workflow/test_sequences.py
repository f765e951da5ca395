"""Random sequences of acts on a project: after each, both tools agree, and the results are those of its state.

A sequence is drawn from a recorded seed. It knows nothing of how freshness is told: it compares files with those that
the same state had before, or that a build from nothing has of it.
"""

from __future__ import annotations

import fcntl
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nervelab import runfiles
from tests.support.project import Project, create

FFN = "src/nervelab/models/ffn.py"
# What a state consists of: a file, and the texts of which it holds one; the first is the template's.
SETTINGS = {
    "activations": (
        "params.yaml",
        ("model.activation: [gelu, relu]", "model.activation: [gelu, learnable-leaky-relu]"),
    ),
    "rate": ("params.yaml", ("lr: 2.0e-2", "lr: 1.0e-2")),
    "steps": ("params.yaml", ("steps: 20", "steps: 12")),
    "window": ("params.yaml", ("window_start: 0.15", "window_start: 0.3")),
    "scale": ("params.yaml", ("scale: laptop\n", "scale: smoke\n")),
    "code that trains": (FFN, ('"gelu": nn.GELU', '"gelu": nn.SiLU')),
    "code that draws": ("src/nervelab/report/figures/figure.py", ('"lines.linewidth": 1.4', '"lines.linewidth": 1.9')),
    "docstring": (FFN, ('"""W_down phi(W_up x)', '"""Down, phi, up')),
}
MEANINGLESS = {"docstring"}  # changes no result
TOOLS = ("snakemake", "nervelab build", "dvc repro", "nervelab repro")

Results = dict[str, bytes]
Settings = dict[str, int]


def settings(project: Project) -> Settings:
    """The state of a project: of each setting, the number of the text that its file holds."""
    found = {}
    for name, (file, texts) in SETTINGS.items():
        content = (project.folder / file).read_text(encoding="utf-8")
        (found[name],) = (number for number, text in enumerate(texts) if text in content)
    return found


def put(project: Project, name: str, number: int) -> None:
    """Give a setting another of its texts."""
    file, texts = SETTINGS[name]
    project.edit(file, texts[settings(project)[name]], texts[number])


def key(state: Settings) -> str:
    """What determines the results, of a state."""
    return ", ".join(f"{name} {number}" for name, number in sorted(state.items()) if number and name not in MEANINGLESS)


def scale(project: Project) -> str:
    """The scale of params.yaml."""
    return ("laptop", "smoke")[settings(project)["scale"]]


def shown(project: Project) -> Results:
    """The results, and the run.json of each run that they are made of: what a state determines to the byte."""
    results = project.folder / "results"
    files = [*results.glob("tables/*"), *results.glob("figures/*"), results / "findings.csv", results / "runs.json"]
    names = sorted(set(re.findall(r'"name": "(.+)"', (results / "runs.json").read_text(encoding="utf-8"))))
    runs = [path for name in names if (path := project.folder / "runs" / scale(project) / name / "run.json").exists()]
    return {path.relative_to(project.folder).as_posix(): path.read_bytes() for path in sorted((*files, *runs))}


def whole_runs(project: Project) -> dict[str, int]:
    """When each run that lacks no file was written, at any scale, by the path of its folder."""
    folders = project.folder.glob("runs/*/*")
    whole = [folder for folder in folders if all((folder / file).exists() for file in runfiles.RUN_FILES)]
    return {
        folder.relative_to(project.folder).as_posix(): (folder / runfiles.RUN_JSON).stat().st_mtime_ns
        for folder in whole
    }


@dataclass
class World:
    """A project in the midst of a sequence.

    `known` has the results of each state met so far, `commits` the states by commit, `damaged` the files that were cut
    short and have not been refused yet.
    """

    project: Project
    room: Path
    rng: random.Random
    known: dict[str, Results]
    commits: list[str] = field(default_factory=list)
    damaged: set[str] = field(default_factory=set)
    said: list[str] = field(default_factory=list)

    def say(self, what: str) -> None:
        """Note an act, for whoever has to play the sequence again."""
        self.said.append(what)

    def settle(self) -> None:
        """Let one tool do what is to be done; nothing whole is made again, and the other tool then agrees."""
        tool = self.rng.choice(TOOLS)
        self.say(f"  {tool}")
        damaged = {path.rpartition("/")[0] for path in self.damaged}
        kept = {folder: written for folder, written in whole_runs(self.project).items() if folder not in damaged}
        self.run_past_damage(tool)
        if "dvc" not in tool and "repro" not in tool:
            made = whole_runs(self.project)
            self.run_past_damage("dvc repro")
            assert whole_runs(self.project) == made, "DVC trained what Snakemake had trained"
        now = whole_runs(self.project)
        again = {folder for folder, written in kept.items() if now.get(folder) != written}
        assert not again, f"trained again although it was whole: {again}"
        self.agree()

    def run_past_damage(self, command: str) -> None:
        """Run a command; what it refuses must be a file that was damaged, and its remedy must help."""
        while (refused := self.refusal(command)) is not None:
            self.mend(refused)

    def refusal(self, command: str) -> str | None:
        """What a command says that fails; None where it succeeds."""
        if not self.damaged:
            self.project.run(command)
            return None
        status, said = self.project.answer(command)
        return said if status else None

    def mend(self, said: str) -> None:
        """Do what a refusal says."""
        named = [path for path in self.damaged if f"{path} is damaged" in said]
        assert named, f"none of {self.damaged} is named in: {said}"
        self.damaged.remove(named[0])
        folder = re.search(r"delete the folder (\S+) ", said)
        assert folder or "delete it" in said, f"no remedy in: {said}"
        shutil.rmtree(self.project.folder / folder[1]) if folder else (self.project.folder / named[0]).unlink()

    def agree(self) -> None:
        """Neither tool has anything to do, the results are those of the state; what there is now is committed."""
        assert self.project.snakemake_is_clean(), self.project.run("snakemake -n")
        assert self.project.dvc_is_clean(), self.project.run("dvc status")
        state = key(settings(self.project))
        results = shown(self.project)
        different = differing(self.known.setdefault(state, results), results)
        assert not different, f"{different} are not what they were in the state {state or 'of the template'}"
        self.project.run("git add -A")
        self.project.run("git commit -q --allow-empty -m state")
        self.commits.append(self.project.run("git rev-parse HEAD").strip())


def differing(one: Results, other: Results) -> list[str]:
    """The files in which two results differ."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def edit(world: World) -> None:
    """Change a setting of params.yaml."""
    name = world.rng.choice(["activations", "rate", "steps", "window"])
    number = 1 - settings(world.project)[name]
    world.say(f"{name}: {SETTINGS[name][1][number]}")
    put(world.project, name, number)
    world.settle()


def edit_code(world: World) -> None:
    """Change the code, so that numbers change, or only a picture, or nothing."""
    name = world.rng.choice(["code that trains", "code that draws", "docstring"])
    number = 1 - settings(world.project)[name]
    world.say(f"{name}: {SETTINGS[name][1][number]}")
    put(world.project, name, number)
    world.settle()


def revert(world: World) -> None:
    """Take back every change, of params.yaml and of the code."""
    world.say("everything taken back")
    for name in SETTINGS:
        if settings(world.project)[name]:
            put(world.project, name, 0)
    world.settle()


def change_scale(world: World) -> None:
    """Another scale, in params.yaml or, which must disturb nothing, on the command line."""
    other = 1 - settings(world.project)["scale"]
    if world.rng.random() < 0.5:
        world.say(f"params.yaml at {('laptop', 'smoke')[other]}")
        put(world.project, "scale", other)
        world.settle()
    else:
        world.say(f"nervelab build --scale {('laptop', 'smoke')[other]}")
        world.run_past_damage(f"nervelab build --scale {('laptop', 'smoke')[other]}")
        world.agree()


def delete(world: World) -> None:
    """Delete a file or a folder that a build makes."""
    here = scale(world.project)
    pattern = world.rng.choice(
        [
            f"runs/{here}/*/*",
            f"runs/{here}/*",
            "results/tables/*",
            "results/figures/*.svg",
            "results",
            "results/findings.csv",
            "results/stamps",
            f"aggregates/{here}",
            f"aggregates/{here}/*",
            "data/tokens/*/*",
            "data/corpora/*",
            "plans",
            ".snakemake",
        ]
    )
    path = world.rng.choice(found(world, pattern))
    world.say(f"deleted: {path}")
    whole = world.project.folder / path
    shutil.rmtree(whole) if whole.is_dir() else whole.unlink()
    world.settle()


def truncate(world: World) -> None:
    """Cut a file short: what a build would take for an input is refused by name, the rest is made again."""
    here = scale(world.project)
    verified = world.rng.random() < 0.6
    patterns = (
        [f"runs/{here}/*/{file}" for file in runfiles.RUN_RESULTS] + [f"runs/{here}/*/run.json", "data/tokens/*/*.bin"]
        if verified
        else ["results/tables/*.csv", "results/figures/*.svg", f"aggregates/{here}/*.parquet", "results/stamps/*.json"]
    )
    path = world.rng.choice(found(world, world.rng.choice(patterns)))
    world.say(f"cut short: {path}")
    content = (world.project.folder / path).read_bytes()
    (world.project.folder / path).write_bytes(content[: len(content) // 2])
    if verified:
        world.damaged.add(path)
        status, said = world.project.answer("nervelab check")
        assert status, f"nervelab check takes {path} for whole"
        assert f"{path} is damaged" in said, said
    world.settle()
    assert not world.damaged, f"neither tool refused {world.damaged}"


def found(world: World, pattern: str) -> list[str]:
    """The paths that match, that belong to the state."""
    paths = [path.relative_to(world.project.folder).as_posix() for path in sorted(world.project.folder.glob(pattern))]
    wanted = (world.project.folder / "results" / "runs.json").read_text(encoding="utf-8")
    if pattern.startswith("runs/"):
        return [path for path in paths if f'"{path.split("/")[2]}"' in wanted]
    if pattern.startswith("data/"):
        return [path for path in paths if path.split("/")[2] in wanted]
    return paths


def clone(world: World) -> None:
    """Push, clone and pull; the sequence goes on in the clone."""
    world.say("cloned and pulled")
    world.project.run("dvc push -q --all-commits")
    new = world.project.clone(world.room / f"clone {len(world.said)}")
    new.run("dvc pull -q")
    shutil.rmtree(world.project.folder)
    world.project = new
    world.agree()


def check_out(world: World) -> None:
    """Go back to an older commit; in a clone its data may have to be pulled."""
    commit = world.rng.choice(world.commits)
    world.say(f"checked out: commit {world.commits.index(commit)}")
    world.project.run(f"git checkout -q --detach {commit}")
    status, _ = world.project.answer("dvc pull -q" if (world.room / "store").exists() else "dvc checkout -q")
    if status:  # it refuses where a build at a scale of the command line has made runs that it does not know
        world.say("  dvc checkout -f")
        world.project.run("dvc checkout -q -f")
    world.agree()


def move(world: World) -> None:
    """Rename the folder, to a name with a space and an umlaut."""
    world.say("moved")
    folder = world.room / f"Größe {len(world.said)}"
    world.project.folder.rename(folder)
    world.project = Project(folder)
    world.agree()


Act = Callable[[World], None]
ACTS: tuple[Act, ...] = (
    *(edit, edit, edit_code, edit_code, revert, change_scale),
    *(delete, delete, truncate, truncate, clone, check_out, check_out, move),
)


def drawn(seed: int) -> tuple[random.Random, list[Act]]:
    """The acts of a sequence, and what the rest of it is drawn by."""
    rng = random.Random(seed)
    return rng, rng.sample(ACTS, rng.randint(5, 10))


@pytest.fixture
def world(built: Project, tmp_path: Path) -> World:
    """A project of its own, that pushes to a store of its own; the template is the build from nothing of its state."""
    built.run(f"dvc config remote.store.url {tmp_path / 'store'}")
    made = World(built, tmp_path, random.Random(), {key(settings(built)): shown(built)})
    made.agree()
    return made


def played(world: World, seed: int) -> None:
    """Play a sequence; a failure tells the seed and the acts so far."""
    world.rng, acts = drawn(seed)
    try:
        for act in acts:
            act(world)
    except BaseException as error:
        error.add_note("\n".join([f"sequence of seed {seed}:", *world.said]))
        raise


def test_a_short_sequence(world: World):
    """Five acts that train but one run: an edit, a deletion, a checkout, a move, a file cut short."""
    played(world, 353)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 13))
def test_a_sequence(world: World, seed: int, from_nothing: Callable[[Settings], Results]):
    played(world, seed)
    state = settings(world.project)
    different = differing(from_nothing(state), shown(world.project))
    assert not different, f"{different} are not what a build from nothing makes; sequence of seed {seed}: {world.said}"


@pytest.fixture
def from_nothing(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Callable[[Settings], Results]:
    """The results that a build from nothing has of a state; built once for all test processes."""
    base = tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent

    def results(state: Settings) -> Results:
        name = "from-nothing-" + "".join(map(str, state.values()))
        with (base / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (base / name / "ready").exists():
                shutil.rmtree(base / name, ignore_errors=True)
                project = create(base / name / "project")
                for setting, number in state.items():
                    if number:
                        put(project, setting, number)
                project.run("snakemake")
                (base / name / "ready").touch()
        return shown(Project(base / name / "project"))

    return results
