"""Moments reduced over two real processes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributed, multiprocessing

from nervelab.errors import NervelabError
from nervelab.spectra.moments import Moments
from tests.spectra import spectral_oracle as oracle

WIDTH = 20
SIZES = {"more rows than units": (50, 70), "rows kept": (5, 3), "a rank without tokens": (8, 0)}


def _rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    for case, sizes in SIZES.items():
        moments = Moments()
        moments.update(oracle.activations("large-mean", n=sum(sizes), width=WIDTH).split(sizes)[rank])
        try:
            moments.all_reduce()
            np.save(f"{folder}/{case}-{rank}.npy", moments.covariance().numpy())
        except NervelabError as error:
            Path(folder, f"{case}-{rank}.txt").write_text(str(error))
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def reduced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes, started once, leave of every case."""
    folder = tmp_path_factory.mktemp("reduced")
    multiprocessing.start_processes(_rank, (str(folder),), nprocs=2, start_method="spawn")
    return folder


@pytest.mark.parametrize("case", ["more rows than units", "rows kept"])
def test_ranks_end_with_the_moments_of_all(reduced: Path, case: str) -> None:
    """More rows than units, and so few that each rank had kept its own."""
    x = oracle.activations("large-mean", n=sum(SIZES[case]), width=WIDTH)
    expected = np.cov(x.double().numpy(), rowvar=False)
    first, second = (np.load(reduced / f"{case}-{rank}.npy") for rank in (0, 1))
    assert np.array_equal(first, second)
    np.testing.assert_allclose(first, expected, rtol=0, atol=1e-9 * expected.max())


def test_a_rank_without_tokens_is_told_to_all(reduced: Path) -> None:
    for rank in (0, 1):
        assert "a rank has measured no token" in (reduced / f"a rank without tokens-{rank}.txt").read_text()
