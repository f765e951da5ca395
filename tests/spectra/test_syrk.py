"""The SYRK that is called past scipy is scipy's, to the bit."""

import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.linalg.blas import ssyrk

from nervelab.spectra import syrk


@pytest.mark.parametrize(("tokens", "width"), [(1, 1), (33, 70), (777, 513), (100, 1500)])
def test_it_is_that_of_scipy(tokens: int, width: int) -> None:
    rows = torch.randn(tokens, width, generator=torch.Generator().manual_seed(0))
    into = np.empty((width, width), dtype=np.float32, order="F")
    expected = ssyrk(1.0, rows.numpy().T, c=into, lower=1, overwrite_c=1).T
    found = syrk.syrk(rows)
    if found is None:
        pytest.skip("this scipy carries no OpenBLAS of its own")
    assert np.array_equal(np.triu(found.numpy()), np.triu(expected))


def test_another_installation_of_scipy_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = ModuleSpec("scipy", None, origin=str(tmp_path / "scipy" / "__init__.py"))
    for spec in (None, elsewhere):
        monkeypatch.setattr(syrk, "find_spec", lambda _, spec=spec: spec)
        assert syrk._openblas.__wrapped__() is None


def test_scipy_is_not_imported_for_it() -> None:
    code = "import sys; from nervelab.spectra.syrk import available; available(); print('scipy' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert answer.stdout.strip() == "False"
