"""Small corpora, made on the spot: nothing here reaches a network."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import datasets
import pytest
from huggingface_hub import HfApi, constants

from nervelab.data import hub, tokens
from nervelab.data.corpus import build_corpus
from nervelab.files import sha256
from nervelab.study.config import Package, TextDataset
from tests.data.made_up_texts import make_texts


@pytest.fixture
def folder_dataset(tmp_path: Path) -> Callable[..., TextDataset]:
    """Writes texts as the files of a folder and gives the data set that reads them."""

    def make(texts: list[str], **changes: object) -> TextDataset:
        root = tmp_path / "texts"
        root.mkdir()
        for number, text in enumerate(texts):
            (root / f"{number:04}.py").write_bytes(text.encode())
        source = {"kind": "folder", "path": str(root), "suffix": ".py", "licence": "MIT"}
        record = {
            "modality": "text",
            "source": source,
            "stands_for": "CodeParrot",
            "cleaning": "none",
            "megabytes": None,
        }
        return TextDataset.model_validate({**record, "validation": 0.2, "test": 0.1, "seed": 3, **changes})

    return make


@pytest.fixture
def corpus(tmp_path: Path, folder_dataset: Callable[..., TextDataset]) -> Path:
    """The folder of a built corpus of 200 documents."""
    folder = tmp_path / "corpus"
    build_corpus(folder_dataset(make_texts(200)), corpus_id="abc", folder=folder, wheels=tmp_path / "wheels")
    return folder


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A local folder that is all pip sees."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.delenv("PIP_CONSTRAINT", raising=False)
    return folder


@pytest.fixture
def publish(index: Path) -> Callable[..., Package]:
    """Puts a universal wheel with the given members into the index and gives its pin."""

    def make(name: str, members: dict[str, bytes]) -> Package:
        wheel = index / f"{name}-1.0-py3-none-any.whl"
        metadata = {
            "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
            "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "RECORD": "",
        }
        with zipfile.ZipFile(wheel, "w") as archive:
            for member, content in members.items():
                archive.writestr(member, content)
            for member, content in metadata.items():
                archive.writestr(f"{name}-1.0.dist-info/{member}", content)
        return Package(name=name, version="1.0", sha256=sha256(wheel), licence="MIT")

    return make


@pytest.fixture
def moving_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A hub whose repositories are the folders `root`/name/commit, and whose branches are all at the commit `head`."""
    fake = SimpleNamespace(root=tmp_path / "hub", head="first")

    def repo_info(_self: HfApi, name: str, *, revision: str | None, **_options: object) -> SimpleNamespace:
        assert (fake.root / name).is_dir()
        return SimpleNamespace(sha=revision or fake.head)

    def load_dataset(name: str, _configuration: str | None, *, revision: str, streaming: bool) -> object:
        return datasets.load_dataset(str(fake.root / name / revision), streaming=streaming)

    def hf_hub_download(name: str, file: str, *, revision: str) -> str:
        return str(fake.root / name / revision / file)

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(HfApi, "repo_info", repo_info)
    monkeypatch.setattr(hub, "load_dataset", load_dataset)
    monkeypatch.setattr(tokens, "hf_hub_download", hf_hub_download)
    return fake
