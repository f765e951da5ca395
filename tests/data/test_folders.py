import pytest

from nervelab.data.folders import read_manifest, verify, write_manifest
from nervelab.errors import NervelabError
from nervelab.study.fingerprint import closure


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"abc")
    write_manifest(tmp_path, {"id": "x"}, ["a.bin"])
    return tmp_path


def test_whole_folder_passes(folder):
    verify(folder)
    # sha256 of "abc", from FIPS 180-2, appendix B.1.
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert read_manifest(folder, keys=["id"]) == {"id": "x", "files": {"a.bin": expected}}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "a.bin").write_bytes(b"abd"), r"a\.bin is damaged"),
        (lambda folder: (folder / "a.bin").unlink(), r"a\.bin is missing"),
        (lambda folder: (folder / "manifest.json").unlink(), r"manifest\.json is missing"),
        (lambda folder: (folder / "manifest.json").write_text("{"), r"manifest\.json is damaged"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), r"manifest\.json is damaged"),
        (lambda folder: (folder / "manifest.json").write_text("{}"), r"manifest\.json is damaged"),
    ],
)
def test_damage_is_named_with_the_remedy(folder, damage, message):
    damage(folder)
    with pytest.raises(NervelabError, match=rf"{message}.*delete the folder .* build it again"):
        verify(folder)


def test_missing_entry_is_damage(folder):
    with pytest.raises(NervelabError, match="lacks the entry"):
        read_manifest(folder, keys=["tokens"])


@pytest.mark.parametrize(
    ("module", "apart_from"),
    [
        ("batches", {"corpus", "parts", "tokens", "sources", "readers", "cleaning", "wheels", "hub"}),
        ("tokens", {"corpus", "parts", "sources", "readers", "cleaning", "batches"}),
        ("corpus", {"tokens", "batches"}),
    ],
)
def test_fingerprints_are_apart(module, apart_from):
    """What an identity covers follows imports: a change to cleaning must not retrain what reads tokens."""
    modules = closure([f"nervelab.data.{module}"])
    assert f"nervelab.data.{module}" in modules
    assert modules.keys().isdisjoint({f"nervelab.data.{name}" for name in apart_from})
