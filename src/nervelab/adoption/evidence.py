"""adoption.json: by what a run that other code trained was found to be one of today's code too."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nervelab.errors import damaged
from nervelab.files import read_json, read_mapping
from nervelab.runfiles import ADOPTION, RUN_JSON
from nervelab.study.runs import run_id

REMEDY = "delete the folder and run make again."
IDENTITY = ("name", "id", "fingerprint", "inputs")


def adoptions(folder: Path) -> list[dict[str, Any]]:
    """The adoptions of a run, the oldest first; none if the code that it is known by trained it.

    Where it was trained in the folder of an adopted run, the file may have stayed: its run.json does not vouch for it.
    """
    path = folder / ADOPTION
    if not path.exists() or ADOPTION not in read_mapping(folder / RUN_JSON, REMEDY, ("files",))["files"]:
        return []
    content = read_json(path, REMEDY)
    if not isinstance(content, dict) or not isinstance(content.get("adoptions"), list) or not content["adoptions"]:
        raise damaged(path, "it holds no adoptions", REMEDY)
    return content["adoptions"]


def verify(folder: Path) -> None:
    """Check that the adoptions of a run lead, each from where the one before it ends, to what run.json says it is.

    Raises:
        NervelabError: they do not, or the file is damaged; names it and the remedy.
    """
    steps = adoptions(folder)
    if not steps:
        return
    path, recorded = folder / ADOPTION, read_json(folder / RUN_JSON, REMEDY)
    try:
        config, end = recorded["config"], {key: recorded[key] for key in IDENTITY}
        for step in reversed(steps):
            if step["to"] != end:
                raise damaged(path, f"it leads to {step['to']['name']}, not to {end['name']}", REMEDY)
            config, end = _without(config, step["settings_added"]), step["from"]
            if end["id"] != run_id(config, end["inputs"], end["fingerprint"]):
                raise damaged(path, f"{end['name']} is not the name of what it says was kept", REMEDY)
            if step["recomputed"] is None or (step["replayed"] is None and not step["covered_by"]):
                raise damaged(path, f"it does not say what was made again for {step['to']['name']}", REMEDY)
    except (KeyError, TypeError) as error:
        raise damaged(path, f"it lacks {error}", REMEDY) from error


def summary(folders: Iterable[Path]) -> str | None:
    """One line for the page: how many runs were adopted, and on what; None if none was."""
    last = [steps[-1] for folder in folders if (steps := adoptions(folder))]
    if not last:
        return None
    codes = {step["from"]["fingerprint"][:10] for step in last}
    replayed = sum(step["replayed"] is not None for step in last)
    agreed = Counter("bitwise" if step["bitwise"] else "within tolerance" for step in last)
    unseen = sum(step["recomputed"]["batch order"] != "every step" for step in last)
    parts = [
        f"{len(last)} runs were trained by earlier code ({len(codes)} fingerprints) and adopted: the code of today "
        "made their last spectra, losses and outcomes again from their weights, and the first steps of "
        f"{replayed} of them, which together show every component",
        ", ".join(f"{number} {how}" for how, number in sorted(agreed.items())),
    ]
    if unseen:
        parts.append(f"of {unseen} the batch order was not seen")
    return "; ".join(parts) + "."


def _without(config: dict[str, Any], added: dict[str, Any]) -> dict[str, Any]:
    """A configuration as it was before these dotted keys were added."""
    before = json.loads(json.dumps(config))
    for key in added:
        *sections, last = key.split(".")
        place = before
        for section in sections:
            place = place[int(section)] if isinstance(place, list) else place[section]
        del place[last]
    return before
