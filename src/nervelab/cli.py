"""The command line: one verb a rule, and the verbs a person uses."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from nervelab import layout
from nervelab.build.environment import environment, restart_if_needed, take_on
from nervelab.build.locks import hold_job
from nervelab.errors import NervelabError
from nervelab.files import machine_fault
from nervelab.stages.chain import CORPUS, FOLDERS, PROBE, RENDERINGS, TOKENS, TRAIN
from nervelab.stages.stage import Folders, Rendering
from nervelab.stages.stamps import write_stamp
from nervelab.stages.targets import Targets

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
ScaleOption = Annotated[str | None, typer.Option(help="smoke, laptop or paper; by default the scale of params.yaml.")]
ProfileOption = Annotated[
    str | None, typer.Option(help="A folder of workflow/profiles, or the path of another: where the jobs run.")
]
OnlyOption = Annotated[str | None, typer.Option(help="One study of params.yaml; by default all of them.")]
NamesArgument = Annotated[list[str] | None, typer.Argument(metavar="RUN...", help="Runs by name; maybe none.")]
StampOption = Annotated[Path, typer.Option(help="The stamp to write, as the DAG names it.")]


def main() -> None:
    """Run the command line; a user's error is one sentence and exit status 2."""
    try:
        take_on()
        restart_if_needed()
        app(prog_name="nervelab")
    except (NervelabError, OSError) as error:
        said = machine_fault(error) if isinstance(error, OSError) else str(error)
        if said is None:
            raise
        sys.stderr.write(f"error: {said}\n")
        sys.exit(2)


@app.command()
def corpus(id: str, scale: ScaleOption = None, only: OnlyOption = None) -> None:
    """Fetch, clean and split the corpus with this id."""
    hold_job(f"corpus-{id}", layout.CORPORA / id)
    from nervelab.study.runs import load_project

    if _already_there(CORPUS, layout.CORPORA / id):
        return
    project = load_project(scale=scale, only=only)
    if id not in project.corpora:
        raise NervelabError(f"params.yaml asks for no corpus with the id {id}: it was edited; start the build again.")
    dataset = project.corpora[id].dataset
    if dataset.modality == "images":
        from nervelab.data.images import build_images as build
    else:
        from nervelab.data.corpus import build_corpus as build
    build(dataset, corpus_id=id, folder=layout.CORPORA / id, wheels=layout.WHEELS)


@app.command()
def tokens(id: str, scale: ScaleOption = None, only: OnlyOption = None) -> None:
    """Tokenise the corpus that the tokens with this id are made from."""
    hold_job(f"tokens-{id}", layout.TOKENS / id)
    from nervelab.data.tokens import build_tokens
    from nervelab.study.runs import load_project

    if _already_there(TOKENS, layout.TOKENS / id):
        return
    project = load_project(scale=scale, only=only)
    if id not in project.tokens:
        raise NervelabError(f"params.yaml asks for no tokens with the id {id}: it was edited; start the build again.")
    wanted = project.tokens[id]
    corpus = layout.CORPORA / wanted.corpus.id
    build_tokens(wanted.tokenizer, tokens_id=id, corpus=corpus, folder=layout.TOKENS / id, wheels=layout.WHEELS)


@app.command()
def plan(names: NamesArgument = None, scale: ScaleOption = None, only: OnlyOption = None) -> None:
    """Freeze runs of params.yaml as plans."""
    hold_job("plan", layout.PLANS)
    from nervelab.study.plans import write_plan
    from nervelab.study.runs import load_project

    project = load_project(scale=scale, only=only)
    for name in names or ():
        write_plan(project.run(name))


@app.command()
def train(
    paths: Annotated[list[Path], typer.Argument(metavar="PLAN...")],
    runs: Annotated[Path, typer.Option(help="The folder in which each run gets a folder of its name.")],
    device: Annotated[str, typer.Option(help="cpu, or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(help="CPU threads; one is bitwise reproducible.")] = 1,
    accumulation: Annotated[int, typer.Option(help="Parts of a batch that are trained on one after the other.")] = 1,
    checkpoint_seconds: Annotated[float, typer.Option(help="Seconds between two checkpoints.")] = 5.0,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="The job's time limit: trainings save and stop before it.")
    ] = None,
    gpus: Annotated[int, typer.Option(min=0, help="GPUs of this machine to lease, which no other training has.")] = 0,
) -> None:
    """Train the runs of plans, one after the other, by the code that the plans were made with.

    Of several, each has its log, logs/SCALE/RUN.log, where SCALE is the last part of --runs.
    """
    from nervelab.build.deadline import deadline
    from nervelab.build.devices import lease_devices
    from nervelab.build.trainer import trainer

    end = deadline(minutes, time.time())
    waiting = [path for path in paths if not _already_there(TRAIN, runs / path.stem)]
    if not waiting:
        return
    options = {
        "device": device,
        "threads": threads,
        "accumulation": accumulation,
        "checkpoint-seconds": checkpoint_seconds,
        "deadline": end,
    }
    logs = Path("logs", runs.name) if len(paths) > 1 else None
    command, code = trainer(waiting, runs, logs=logs, options=options)
    number = device.partition(":")[2]
    leased = lease_devices(gpus, int(number) if number else None)
    # The trainer takes this process's place, so that signals reach it, and what it has leased.
    os.execve(sys.executable, command, environment(code) | leased)


@app.command()
def probe(
    names: Annotated[list[str] | None, typer.Argument(metavar="PROBE...", help="By name; by default all.")] = None,
    scale: ScaleOption = None,
    only: OnlyOption = None,
    device: Annotated[str, typer.Option(help="cpu, or cuda.")] = "cpu",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Networks probed side by side, by default one a core; changes no number.")
    ] = None,
    gpus: Annotated[int, typer.Option(min=0, help="GPUs of this machine to lease, which no training has.")] = 0,
) -> None:
    """Measure the kept weights of runs beside their untrained networks and their nulls, where that was not done yet."""
    from nervelab.build.devices import lease_devices

    if not PROBE.made_here():
        raise NervelabError(
            "torch is not installed here, and a probe runs the trained networks: run make, or pip install -e ., and "
            "`nervelab probe` again."
        )
    hold_job("probe", layout.PROBES)
    number = device.partition(":")[2]
    os.environ.update(lease_devices(gpus, int(number) if number else None))
    from nervelab.nulls.make import make_probes

    make_probes(Targets.of(scale, only), names or None, device=device, threads=threads)


def _rendering(stage: Rendering) -> Callable[..., None]:
    def verb(stamp: StampOption, scale: ScaleOption = None, only: OnlyOption = None) -> None:
        targets = _targets_for(stamp, stage.name, scale, only)
        made = stage.make(targets)
        write_stamp(stamp, read=made.read, written=made.written, made_of=targets.stages[stage.name].made_of)

    return verb


for _stage in RENDERINGS:
    app.command(_stage.name, help=_stage.says)(_rendering(_stage))


@app.command()
def check(
    stage: Annotated[
        str, typer.Argument(help="data, tokens, trained or probed; each includes those before it.")
    ] = "probed",
    scale: ScaleOption = None,
    only: OnlyOption = None,
) -> None:
    """Verify, byte for byte, what params.yaml asks for: data by their manifests, runs by run.json, probes."""
    from nervelab.adoption.evidence import verify as verify_adoption
    from nervelab.report.provenance import mixed_findings

    stages = [each.target for each in FOLDERS]
    if stage not in stages:
        raise NervelabError(f"there is no stage {stage!r} to check: use one of {', '.join(stages)}.")
    project = Targets.of(scale, only).project
    wanted = FOLDERS[: stages.index(stage) + 1]
    checks = [(each.verify, folder) for each in wanted for folder in each.expected(project)]
    for verify_folder, folder in checks:
        verify_folder(folder)
        verify_adoption(folder)
    if TRAIN in wanted:
        for finding, mixture in mixed_findings(project).items():
            sys.stderr.write(f"warning: the finding {finding} compares runs that were trained differently: {mixture}\n")
    sys.stdout.write(f"{len(checks)} folders are whole\n")


@app.command()
def status(
    scale: ScaleOption = None,
    only: OnlyOption = None,
    every: Annotated[bool, typer.Option("--all", help="List every run, also where there is nothing to say.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON; `parameters` are among its keys.")] = False,
) -> None:
    """Say how the wanted runs, data and results stand: done, running, failed, stale and why, and what is unwanted."""
    from nervelab.status.status import Status, as_json, as_text

    found = Status.of(scale, only)
    sys.stdout.write(as_json(found) if json else as_text(found, every=every))


@app.command()
def trace(
    address: Annotated[
        str,
        typer.Argument(
            metavar="PLACE",
            help="FILE.csv:ROW:COLUMN below results/ (ROW a number from 1, or KEY=VALUE[,KEY=VALUE]), "
            "or results/metrics.json:GROUP.NAME.",
        ),
    ],
) -> None:
    """From a number in results/ to its runs, data, code and commit; recomputed. Exit status 1 where it differs."""
    from nervelab.analysis.origins import as_text
    from nervelab.analysis.trace import trace as follow
    from nervelab.study.params import read_params

    found, source = follow(address, lambda: read_params(layout.PARAMS).analysis)
    sys.stdout.write(as_text(found, source))
    sys.exit(0 if found.equal else 1)


@app.command()
def build(
    target: Annotated[
        str, typer.Argument(help="all, a stage (data, tokens, trained, ...), a study (its runs alone), or a file.")
    ] = "all",
    scale: ScaleOption = None,
    only: OnlyOption = None,
    profile: ProfileOption = None,
) -> None:
    """Make a target with Snakemake, one build at a time, showing progress."""
    from rich.console import Console

    from nervelab.build.workflow import build as run_build
    from nervelab.status.runs import stale

    console = Console(stderr=True, highlight=False)
    kept = stale(Targets.of(scale, only).to_train) if target in ("all", "trained") else 0
    if kept:
        console.print(f"{kept} of the runs to be trained were made by other code: `nervelab adopt` may keep them")
    run_build(target, scale, only, console, profile=profile)
    lacking = Targets.of(scale, only).not_probed
    if lacking and target in ("all", PROBE.target):
        console.print(lacking)


@app.command()
def adopt(
    scale: ScaleOption = None,
    only: OnlyOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Replay each run, not only a covering set.")] = False,
    device: Annotated[str, typer.Option(help="What replays run on: cpu, or cuda.")] = "cpu",
    workers: Annotated[int | None, typer.Option(min=1, help="Replays side by side: one a core, on a GPU one.")] = None,
) -> None:
    """Keep runs that other code trained, once today's code has shown that it would have made them."""
    from rich.console import Console

    from nervelab.adoption.adopt import adopt as run_adopt
    from nervelab.adoption.adopt import require_device, said
    from nervelab.build.locks import sole_build
    from nervelab.build.workflow import build as run_build

    require_device(device)
    console = Console(stderr=True, highlight=False)
    targets = Targets.of(scale, only)
    side_by_side = workers or (os.cpu_count() or 1 if device == "cpu" else 1)
    for stage in (CORPUS, TOKENS):
        if not stage.is_made(targets.project):  # today's code makes them again, to be compared
            run_build(stage.target, scale, only, console)
    with sole_build(console.print):
        report = run_adopt(targets.project, everything=everything, device=device, workers=side_by_side, console=console)
    sys.stdout.write(said(report))
    if report.refused:
        raise NervelabError(
            f"{len(report.refused)} kept runs are not what today's code makes and were left alone, named above: "
            "`nervelab build` trains them again, or take back the edit that made them differ."
        )


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def repro(context: typer.Context) -> None:
    """Run `dvc repro`, past whatever a killed one left behind. Arguments are handed on."""
    from rich.console import Console

    from nervelab.build.workflow import repro as run_repro

    sys.exit(run_repro(context.args, Console(stderr=True, highlight=False)))


@app.command()
def prune(yes: Annotated[bool, typer.Option("--yes", help="Remove; without it, only list.")] = False) -> None:
    """List, or remove, the runs, plans and data that no scale of params.yaml asks for."""
    from nervelab.build.locks import sole_build
    from nervelab.stages.prune import remove, size, unwanted

    with sole_build(lambda said: sys.stderr.write(f"{said}\n")):
        paths = unwanted()
        verb = "removed" if yes else "would remove"
        megabytes = size(paths) / 1e6
        stayed = {}
        for path in paths:
            kept = remove(path) if yes else {}
            stayed |= kept
            sys.stdout.write(f"could not remove all of {path}\n" if kept else f"{verb} {path}\n")
    total = f"{len(paths)} files and folders, {megabytes:.1f} MB"
    sys.stdout.write(f"{verb} {total}{'' if yes else '; --yes does it'}{', but for what follows' if stayed else ''}\n")
    if stayed:
        listed = ", ".join(f"{path} ({reason})" for path, reason in stayed.items())
        raise NervelabError(f"{listed} could not be removed: mend that, then run `nervelab prune --yes` again.")


def _already_there(stage: Folders, folder: Path) -> bool:
    """Whether all of a folder is there and whole, said in one line: then a job that was forced makes nothing again.

    Raises:
        NervelabError: all is there and a file is damaged; nothing was touched.
    """
    if not stage.is_there(folder):
        return False
    stage.verify(folder)
    sys.stderr.write(f"{folder} is there and whole, and is not made again: delete it to have it made anew\n")
    return True


def _targets_for(stamp: Path, stage: str, scale: str | None, only: str | None) -> Targets:
    """The targets, provided that params.yaml still asks for the stamp that the DAG asked for.

    From here to its end this process is the only one that renders.
    """
    targets = Targets.of(scale, only)
    hold_job("results", targets.aggregates, targets.results)
    if not targets.stages[stage].names(stamp):
        raise NervelabError(f"params.yaml or the code was edited after {stamp} was asked for: start the build again.")
    return targets


if __name__ == "__main__":
    main()
