"""What comes from outside is data: none of it runs code, leaves the folder, or takes more memory than there is."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load

from nervelab.data import archives, readers
from nervelab.data.digits import read_digits
from nervelab.data.tokens import _published
from nervelab.errors import NervelabError
from nervelab.study.config import HubTokenizer, TextPackage
from nervelab.study.params import read_params
from tests.faults.registry import Fault, name
from tests.faults.world import World

GROUP = "From outside"
NOTHING = "Everything: nothing of it ran, and nothing was written."
MARK = "it-ran"


class Command:
    """Unpickled, it runs a command."""

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {MARK}",)


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(NervelabError) as caught:
        act()
    return str(caught.value)


def pickled(_: World) -> str:
    return refused(lambda: read_digits(gzip.compress(pickle.dumps(Command())), "the digits"))


def pickled_bomb(world: World) -> str:
    world.monkeypatch.setattr(archives, "LARGEST", 10**5)
    return refused(lambda: read_digits(gzip.compress(bytes(10**6)), "the digits"))


def pickled_giant(_: World) -> str:
    """Calls the constructor of arrays for one of a terabyte."""
    giant = b"\x80\x02cnumpy\nndarray\n(\x8a\x06" + (10**12).to_bytes(6, "little") + b"tR."
    return refused(lambda: read_digits(gzip.compress(giant), "the digits"))


def yaml(_: World) -> str:
    path = Path("params.yaml")
    text = path.read_text()
    path.write_text(text.replace("scale: laptop", f"scale: !!python/object/apply:os.system ['touch {MARK}']", 1))
    return refused(lambda: read_params(path))


def package(reader: str, suffix: str) -> TextPackage:
    return TextPackage(name="odd", version="1", sha256="0" * 64, licence="MIT", suffix=suffix, reader=reader)


def archive(**members: bytes) -> zipfile.ZipFile:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as written:
        for member, data in members.items():
            written.writestr(member, data)
    found = zipfile.ZipFile(content)
    found.filename = "odd.whl"
    return found


def paths(_: World) -> str:
    texts = readers.read(package("files", ".py"), archive(**{"../../x.py": b"a", "/etc/x.py": b"b"}))
    return "They are labels of texts: " + ", ".join(f"{label} is {text()!r}" for label, text in texts.items())


def bomb(world: World) -> str:
    world.monkeypatch.setattr(archives, "LARGEST", 10**5)
    texts = readers.read(package("files", ".py"), archive(**{"x.py": bytes(10**6)}))
    return refused(next(iter(texts.values())))


def lie(_: World) -> str:
    """A member that unpacks to more than its archive says."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as written:
        written.writestr("x.py", bytes(10**6))
    size = struct.pack("<I", 10**6)
    found = zipfile.ZipFile(io.BytesIO(content.getvalue().replace(size, struct.pack("<I", 10))))
    found.filename = "odd.whl"
    return refused(next(iter(readers.read(package("files", ".py"), found).values())))


def no_archive(_: World) -> str:
    Path("odd.whl").write_bytes(b"#!/bin/sh\n")
    return refused(lambda: archives.opened(Path("odd.whl")))


def tokenizer(content: str) -> Callable[[World], str]:
    def act(_: World) -> str:
        Path("theirs").mkdir()
        (Path("theirs") / "tokenizer.json").write_text(content)
        return refused(lambda: _published(HubTokenizer(kind="hub", name="theirs", licence="MIT", vocabulary=300)))

    return act


def checkpoint(content: Callable[[World], object]) -> Callable[[World], str]:
    def act(world: World) -> str:
        saved = io.BytesIO()
        torch.save(content(world), saved)
        world.checkpoint.write_bytes(hashlib.sha256(saved.getvalue()).digest() + saved.getvalue())
        return world.load()

    return act


def plan(**changes: object) -> Callable[[World], str]:
    def act(world: World) -> str:
        world.plan.write_text(json.dumps(json.loads(world.plan.read_text()) | changes))
        return world.call("train", str(world.plan), "--runs", "runs/another")

    return act


def manifest(world: World) -> str:
    path = world.corpus / "manifest.json"
    content = json.loads(path.read_text())
    del content["seal"]
    content["files"] = {"../../../../etc/passwd": "0" * 64}
    path.write_text(json.dumps(content))
    return world.call("check")


def study(world: World) -> str:
    path = Path("params.yaml")
    path.write_text(path.read_text().replace("  activation:\n", "  ../../x:\n", 1))
    return refused(lambda: read_params(path))


UNREAD = (
    "the digits cannot be read as the digits of MNIST (…): mend source.package and source.member in config/data.yaml."
)
NO_STATE = ".checkpoints/…/state.pt is no checkpoint: delete it and the run starts from its beginning."
NO_TOKENIZER = "The tokenizer.json of theirs holds no tokenizer (…): name another repository or folder in …."
OTHER = (
    ".checkpoints/…/state.pt is a checkpoint of the run 0123456789, not of …: delete it and the run starts from its …."
)
WHEEL = "delete the wheel, and name a whole one in config/data.yaml if it comes again."
MODULE = "plans/….json names 'antigravity', which is no module of nervelab: delete it and run make again."
CHANGED = (
    "plans/….json was changed after it was written (its id no longer fits its content): delete it and run make again."
)
DIGITS = {
    "a pickle that runs a command": (pickled, UNREAD),
    "a gzipped pickle that unpacks to more than fits": (pickled_bomb, UNREAD),
    "a pickle that makes an array of a terabyte": (pickled_giant, UNREAD),
    "YAML that calls a function": (yaml, "params.yaml, line …: could not determine a constructor for the tag …"),
    "members of an archive that name paths outside": (paths, "They are labels of texts: …"),
    "an archive that unpacks to more than fits": (
        bomb,
        "x.py of odd.whl has 1000000 bytes, more than the … that are read of one file: name …",
    ),
    "an archive that says less than it unpacks to": (lie, f"x.py of odd.whl is damaged (…): {WHEEL}"),
    "a wheel that is no archive": (no_archive, f"odd.whl is no wheel (…): {WHEEL}"),
    "a tokenizer that is no tokenizer": (tokenizer('{"model": {"type": "os.system"}}'), NO_TOKENIZER),
    "a tokenizer of brackets without end": (
        tokenizer("[" * 100_000),
        "theirs/tokenizer.json is damaged (not JSON): give the folder of a published …",
    ),
    "a checkpoint that runs a command": (checkpoint(lambda _: Command()), NO_STATE),
    "a checkpoint of something else": (checkpoint(lambda _: [1, 2]), NO_STATE),
    "a checkpoint of another run": (checkpoint(lambda _: {"run": "0123456789", "state": {}}), OTHER),
    "a plan that names a module from outside": (plan(components={"model": "antigravity"}), MODULE),
    "a plan with a path for a name": (plan(name="../../x"), CHANGED),
    "a plan with a config of another type": (plan(config=[1]), CHANGED),
    "a manifest that names files outside its folder": (
        manifest,
        "data/corpora/…/manifest.json is damaged (it names files that are none of its folder): delete the folder …",
    ),
    "a study with a path for a name": (study, "params.yaml: studies.../../x: …"),
}
FAULTS = [Fault(what, GROUP, what, said, NOTHING, act) for what, (act, said) in DIGITS.items()]


@pytest.mark.parametrize("fault", FAULTS, ids=name)
def test_what_comes_from_outside_is_refused(world: World, fault: Fault):
    said = fault.act(world)
    assert fault.is_said_by(said), said
    assert not Path(MARK).exists()
    assert not Path("../../x").exists()


HEADERS = {
    "a length beyond the file": struct.pack("<Q", 2**60) + b"{}",
    "no JSON": struct.pack("<Q", 4) + b"junk",
    "tensors that overlap": b"",
}


@pytest.mark.parametrize("what", HEADERS)
def test_weights_with_a_hostile_header_are_refused_by_their_reader(what: str):
    """Kept weights are hashed before anything reads them; the reader itself refuses these too."""
    content = HEADERS[what]
    if not content:
        each = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
        header = json.dumps({"a": each, "b": each}).encode()
        content = struct.pack("<Q", len(header)) + header + bytes(8)
    with pytest.raises(SafetensorError):
        load(content)


def test_digits_that_are_arrays_are_still_read():
    from tests.support.images import made_up_digits, pickled

    written = made_up_digits(3, 2, 2)
    found = read_digits(pickled(written), "the digits")
    assert np.array_equal(found["train"][0], written[0][0])
