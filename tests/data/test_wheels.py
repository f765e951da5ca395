import sys

import pytest

from nervelab.data.wheels import fetch
from nervelab.errors import NervelabError
from nervelab.files import sha256


def test_pinned_wheel_is_fetched(publish, tmp_path):
    package = publish("tiny", {"tiny/a.py": b"x = 1\n"})
    wheel = fetch(package, tmp_path / "cache")
    assert sha256(wheel) == package.sha256
    assert list((tmp_path / "cache").iterdir()) == [wheel]


def test_cached_wheel_needs_no_pip(publish, tmp_path, monkeypatch):
    package = publish("tiny", {"tiny/a.py": b"x = 1\n"})
    wheel = fetch(package, tmp_path)
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    assert fetch(package, tmp_path) == wheel


def test_truncated_wheel_is_fetched_again(publish, tmp_path):
    package = publish("tiny", {"tiny/a.py": b"x = 1\n"})
    wheel = fetch(package, tmp_path)
    wheel.write_bytes(wheel.read_bytes()[:50])
    assert sha256(fetch(package, tmp_path)) == package.sha256


def test_wrong_hash_is_one_sentence(publish, tmp_path):
    package = publish("tiny", {"tiny/a.py": b"x = 1\n"}).model_copy(update={"sha256": "0" * 64})
    with pytest.raises(NervelabError, match=r"^tiny==1\.0 was found with another sha256 .*mend the pin") as caught:
        fetch(package, tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_package_out_of_reach_is_one_sentence(publish, index, tmp_path):
    package = publish("tiny", {"tiny/a.py": b"x = 1\n"})
    (index / "tiny-1.0-py3-none-any.whl").unlink()
    with pytest.raises(NervelabError, match=r"^tiny==1\.0 could not be downloaded .*connect to the network") as caught:
        fetch(package, tmp_path / "cache")
    assert "\n" not in str(caught.value)


def test_missing_pip_is_told(publish, tmp_path, monkeypatch):
    package = publish("tiny", {"tiny/a.py": b"x = 1\n"})
    without_pip = tmp_path / "python"
    without_pip.write_text("#!/bin/sh\necho 'python: No module named pip' >&2\nexit 1\n")
    without_pip.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(without_pip))
    with pytest.raises(
        NervelabError, match=r"No module named pip\): give this Python its pip .*-m ensurepip"
    ) as caught:
        fetch(package, tmp_path / "cache")
    assert "network" not in str(caught.value)
