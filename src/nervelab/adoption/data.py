"""Whether today's code makes, byte for byte, the data that a kept run was trained on."""

from __future__ import annotations

from typing import Any

from nervelab import layout
from nervelab.data.folders import read_manifest, verify
from nervelab.errors import NervelabError
from nervelab.study.runs import Corpus, Tokens

# Of a manifest: ids, which contain the code; the files, which are compared; records, which a run's settings hold.
APART = ("id", "corpus", "files", "dataset", "tokenizer")


def data_made_again(data: Tokens | Corpus, kept_inputs: dict[str, str]) -> tuple[str | None, dict[str, Any]]:
    """What differs first between the kept data and today's, and the evidence: their ids, and the sha256 of their files.

    Today's lie under their own id, made by today's code; of the kept ones the manifest is enough.
    """
    folder, kept_folder = data.folder, layout.data_folder(kept_inputs)
    try:
        verify(folder)
        made = read_manifest(folder, keys=("id",))
        kept = read_manifest(kept_folder, keys=("id",))
    except NervelabError as error:
        if not kept_folder.is_dir():
            return f"its data {kept_folder} are not here: bring them back (`dvc pull`, or a copy), then adopt again", {}
        return str(error), {}
    if kept["id"] not in kept_inputs.values():
        return f"{kept_folder} holds the data {kept['id']}, which are not its own", {}
    for file in sorted({*kept["files"], *made["files"]}):
        if kept["files"].get(file) != made["files"].get(file):
            return f"{file} of its data {kept_folder} is not what today's code makes, {folder}", {}
    for key in sorted(kept.keys() & made.keys()):
        if key not in APART and kept[key] != made[key]:
            return f"{key} of its data {kept_folder}: {kept[key]!r} kept, {made[key]!r} made", {}
    return None, {"from": kept_inputs, "to": {data.kind: data.id}, "files": made["files"]}
