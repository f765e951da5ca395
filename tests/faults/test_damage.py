"""A file that was cut short, or in which a bit has another value, is named; or is made again without being asked."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from nervelab.aggregates.find import Aggregates
from nervelab.data import wheels
from nervelab.data.parts import Kept, Parts
from nervelab.errors import NervelabError
from nervelab.files import sha256, write_bytes
from nervelab.stages.targets import Targets
from nervelab.study.config import Package
from nervelab.study.decisions import Analysis
from nervelab.study.plans import read_plan
from tests.faults.registry import Fault, name
from tests.faults.world import World, flip, truncate

AGAIN = "It is made again; nothing is said."
RUN = "delete it (or the folder) and run make again."
DATA = "delete the folder … and build it again with `nervelab build`."
REST = "Everything else; the file itself stays where it is until it is deleted."


def fault(
    what: str, how: Callable[[Path], None], file: Callable[[World], Path], ask: Callable[[World], str], said: str
):
    """A fault of one file: damage it, and give what is said by whoever reads it."""

    def act(world: World) -> str:
        how(file(world))
        return ask(world)

    words = {truncate: "is cut short"}.get(how, "has another value in one bit")
    return Fault(f"{what} {words}", "A damaged file", f"{what} {words}", said, REST, act)


def both(
    what: str, file: Callable[[World], Path], ask: Callable[[World], str], cut: str, flipped: str, after: bytes = b""
):
    """The two faults of a file."""
    return (fault(what, truncate, file, ask, cut), fault(what, partial(flip, after=after), file, ask, flipped))


def check(world: World) -> str:
    return world.call("check")


def plan(world: World) -> str:
    with pytest.raises(NervelabError) as caught:
        read_plan(world.plan)
    return str(caught.value)


def aggregates(world: World) -> str:
    with pytest.raises(NervelabError) as caught:
        Aggregates.read(Path("aggregates/laptop"), Analysis(window_start=0.15, confidence=0.95, bootstrap=100, seed=0))
    return str(caught.value)


def stale(stage: str) -> Callable[[World], str]:
    """What is asked of the stamps: the stage whose file is damaged is to be made, with another stamp than before."""

    def ask(_: World) -> str:
        wanted = Path(Targets.of().stamps[stage])
        return AGAIN if not wanted.exists() else "it passes for fresh"

    return ask


def wheel(how: Callable[[Path], None]) -> Callable[[World], str]:
    def act(world: World) -> str:
        kept = Path("data/wheels/tiny-1.0.whl")
        write_bytes(kept, b"what the index holds" * 100)
        package = Package(name="tiny", version="1.0", sha256=sha256(kept), licence="MIT")
        other = Path("downloaded.whl")
        other.write_bytes(kept.read_bytes())
        world.monkeypatch.setattr(wheels, "_download", lambda *_: other)
        how(kept)
        return AGAIN if sha256(wheels.fetch(package, kept.parent)) == package.sha256 else "it is used"

    return act


def part(how: Callable[[Path], None], file: str) -> Callable[[World], str]:
    def act(_: World) -> str:
        folder = Path("data/corpora/0123456789/.partial")
        parts = Parts(folder, "0123456789")
        parts.add(Kept("train", "some text" * 100, "a source", 900))
        parts.flush()
        how(folder / file)
        with pytest.raises(NervelabError) as caught:
            list(Parts(folder, "0123456789").texts())
        return str(caught.value)

    return act


SPECTRA = "a table of a run"
FAULTS = [
    *both(
        SPECTRA,
        lambda world: world.run.folder / "spectra.parquet",
        check,
        "runs/…/spectra.parquet is damaged (… bytes instead of …): delete it and run make again.",
        f"runs/…/spectra.parquet is damaged (its sha256 is not the one in run.json): {RUN}",
    ),
    *both(
        "the file of a run's weights",
        lambda world: world.run.folder / "model.safetensors",
        check,
        "runs/…/model.safetensors is damaged (… bytes instead of …): delete it and run make again.",
        f"runs/…/model.safetensors is damaged (its sha256 is not the one in run.json): {RUN}",
    ),
    *both(
        "run.json",
        lambda world: world.run.folder / "run.json",
        check,
        "runs/…/run.json is damaged (not JSON): delete it and run make again.",
        f"runs/…/run.json is damaged (its content is not what was written): {RUN}",
        after=b'"eval_loss": ',
    ),
    *both(
        "the file of a corpus",
        lambda world: world.corpus / "documents.parquet",
        check,
        f"data/corpora/…/documents.parquet is damaged (its sha256 is not that of manifest.json): {DATA}",
        f"data/corpora/…/documents.parquet is damaged (its sha256 is not that of manifest.json): {DATA}",
    ),
    *both(
        "a shard of tokens",
        lambda world: world.tokens / "train.bin",
        check,
        f"data/tokens/…/train.bin is damaged (its sha256 is not that of manifest.json): {DATA}",
        f"data/tokens/…/train.bin is damaged (its sha256 is not that of manifest.json): {DATA}",
    ),
    *both(
        "a tokenizer",
        lambda world: world.tokens / "tokenizer.json",
        check,
        f"data/tokens/…/tokenizer.json is damaged (its sha256 is not that of manifest.json): {DATA}",
        f"data/tokens/…/tokenizer.json is damaged (its sha256 is not that of manifest.json): {DATA}",
    ),
    *both(
        "a manifest",
        lambda world: world.tokens / "manifest.json",
        check,
        f"data/tokens/…/manifest.json is damaged (not JSON): {DATA}",
        f"data/tokens/…/manifest.json is damaged (its content is not what was written): {DATA}",
        after=b'"unigram_loss": ',
    ),
    *both(
        "a checkpoint",
        lambda world: world.checkpoint,
        lambda world: world.load(),
        ".checkpoints/…/state.pt is damaged: delete it and the run starts from its beginning.",
        ".checkpoints/…/state.pt is damaged: delete it and the run starts from its beginning.",
    ),
    *both(
        "a plan",
        lambda world: world.plan,
        plan,
        "plans/….json is damaged (not JSON): delete it and run make again.",
        "plans/….json was changed after it was written (its id no longer fits its content): delete it and run "
        "make again.",
        after=b'"steps": ',
    ),
    *both(
        "a file of frozen code",
        lambda world: world.code / "training" / "loop.py",
        plan,
        "plans/code/… is not the code of plans/….json (missing or changed): delete both and run make again.",
        "plans/code/… is not the code of plans/….json (missing or changed): delete both and run make again.",
        after=b"self.step += ",
    ),
    *both(
        "a gathered table",
        lambda world: Path("aggregates/laptop/spectra.parquet"),
        aggregates,
        f"aggregates/laptop/spectra.parquet is damaged (not Parquet): {RUN}",
        "",
    )[:1],
    *both(
        "what is gathered, before a build,",
        lambda _: Path("aggregates/laptop/runs.parquet"),
        stale("aggregate"),
        AGAIN,
        AGAIN,
    ),
    *both("results/runs.json", lambda _: Path("results/runs.json"), stale("index"), AGAIN, AGAIN),
    *both("a table of results", lambda _: Path("results/findings.csv"), stale("analyse"), AGAIN, AGAIN),
    *both("the page", lambda _: Path("results/index.html"), stale("report"), AGAIN, AGAIN),
    *both("a stamp", lambda _: next(Path("results/stamps").glob("report-*.json")), stale("report"), AGAIN, AGAIN),
    *(
        Fault(
            f"a wheel that was fetched {words}",
            "A damaged file",
            f"a wheel that was fetched {words}",
            AGAIN,
            "Everything.",
            wheel(how),
        )
        for how, words in ((truncate, "is cut short"), (flip, "has another value in one bit"))
    ),
    *(
        Fault(
            f"a part of a corpus that is being built: {file} {words}",
            "A damaged file",
            f"a part of a corpus that is being built, {file}, {words}",
            said,
            "What was whole before; the corpus is read anew.",
            part(how, file),
        )
        for file, how, words, said in (
            (
                "00000.parquet",
                truncate,
                "is cut short",
                "data/…/00000.parquet is missing or damaged: delete the folder data/….partial and run the same "
                "command again.",
            ),
            (
                "state.json",
                partial(flip, after=b'"taken": '),
                "has another value in one bit",
                "data/…/state.json is damaged (its content is not what was written): delete the folder data/….partial "
                "and run the "
                "same command again.",
            ),
        )
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=name)
def test_damage_is_named_or_mended(world: World, fault: Fault):
    said = fault.act(world)
    assert fault.is_said_by(said), said
