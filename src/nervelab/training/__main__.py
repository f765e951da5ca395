"""Trains the runs of plans: the entry that a code fingerprint starts from.

It reads the plans and nothing else, and imports nothing of the study, so that only code which can change a number
counts.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch

from nervelab.errors import NervelabError
from nervelab.runfiles import whole_run
from nervelab.training.artefacts import environment, unshared, write_run
from nervelab.training.checkpoint import REMEDY, Checkpoints, clear, sole_owner
from nervelab.training.execution import Execution
from nervelab.training.loop import Diverged, Evaluation, Loop
from nervelab.training.outcome import judged
from nervelab.training.preemption import StopRequest
from nervelab.training.prepare import prepared
from nervelab.training.several import Member, train_each

FOR_EACH = ("plan", "data", "out", "checkpoints")
"""The fields of an `Execution` that each run has its own of."""


def train(execution: Execution, stop: StopRequest) -> str:
    """Train a run, or go on with it, and write its folder. Returns the outcome: finished, stuck or diverged.

    Raises:
        NervelabError: bad input or a damaged file, or the run has another trainer.
        Stopped: it was asked to stop; the state was saved.
    """
    device = execution.prepare()
    stop.deadline = execution.deadline
    plan = json.loads(execution.plan.read_text(encoding="utf-8"))
    with sole_owner(execution.checkpoints, stop) as lease:
        stop.build_asks = lease.asked_to_stop
        done = whole_run(execution.out)
        if done is not None and done["id"] == plan["id"]:  # another training of it ended while this one waited
            clear(lease)
            return done["outcome"]
        loop = prepared(plan, execution, device)
        checkpoints = Checkpoints(execution.checkpoints, execution.checkpoint_seconds, run=plan["id"], lease=lease)
        saved = checkpoints.load()
        if saved is not None:
            try:
                loop.restore(saved)
            except torch.OutOfMemoryError:
                raise
            except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
                raise NervelabError(f"{checkpoints.path} is no state of this run: {REMEDY}") from error
        evaluation = _evaluated(loop, checkpoints, stop)
        outcome, final = judged(evaluation, loop.task.unigram_loss, loop.config.training)
        summary = {
            **{key: plan[key] for key in ("name", "id", "slug", "config", "inputs", "fingerprint")},
            "parameters": sum(each.numel() for each in loop.model.parameters()),
            "outcome": outcome,
            "stopped_at": loop.step,
            "final": final,
        }
        lease.require()
        write_run(
            execution.out,
            rows=loop.rows,
            weights=unshared(loop.model),
            summary=summary,
            environment=environment(device, execution) | {"solvers": sorted(loop.solvers)},
        )
        clear(lease)
    return outcome


def _evaluated(loop: Loop, checkpoints: Checkpoints, stop: StopRequest) -> Evaluation | None:
    """Train to the end; the final evaluation, or None where something was no longer finite."""
    try:
        loop.run(checkpoints, stop)
    except Diverged:
        return None
    return loop.evaluate()


def _refuse_other_code(folder: Path | None) -> None:
    here = Path(__file__).resolve()
    if folder is not None and not here.is_relative_to(folder.resolve()):
        raise NervelabError(
            f"{here.parents[2]} is the code that Python found, instead of the plan's {folder}: "
            "take away what puts it first (a .pth file, sitecustomize) and run the same command again."
        )


def main() -> int:
    """Parse the command line and train; returns the exit status."""
    stop = StopRequest()
    parser = argparse.ArgumentParser(prog="python -m nervelab.training", description="Train the runs of plans.")
    for name in FOR_EACH:
        parser.add_argument(f"--{name}", type=Path, nargs="+", required=True, help="one for each plan")
    parser.add_argument("--log", type=Path, nargs="+", help="one for each plan: what is said while it is trained")
    parser.add_argument("--device", default=Execution.device)
    parser.add_argument("--threads", type=int, default=Execution.threads)
    parser.add_argument("--accumulation", type=int, default=Execution.accumulation)
    parser.add_argument("--checkpoint-seconds", type=float, default=Execution.checkpoint_seconds)
    parser.add_argument("--deadline", type=float, help="when the job ends, in Unix time")
    parser.add_argument("--code", type=Path, help="the folder that this code has to lie in")
    arguments = vars(parser.parse_args())
    code, logs = arguments.pop("code"), arguments.pop("log")
    for_each = [arguments.pop(name) for name in FOR_EACH]
    logs = logs or [None] * len(for_each[0])
    if len({len(each) for each in (*for_each, logs)}) > 1:
        parser.error(
            f"as many of each are needed as of --plan: {', '.join(f'--{name}' for name in (*FOR_EACH, 'log'))}"
        )
    executions = [Execution(*each, **arguments) for each in zip(*for_each, strict=True)]
    try:
        _refuse_other_code(code)
    except NervelabError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return train_each([Member(*each) for each in zip(executions, logs, strict=True)], train, stop)


if __name__ == "__main__":
    sys.exit(main())
