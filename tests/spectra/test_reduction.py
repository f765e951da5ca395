"""Moments reduced over two real processes."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import spectral_oracle as oracle
import torch
from torch import distributed, multiprocessing

from nervelab.errors import NervelabError
from nervelab.spectra.moments import Moments


def _rank(rank: int, folder: str, width: int, sizes: tuple[int, int]) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    moments = Moments()
    moments.update(oracle.activations("large-mean", n=sum(sizes), width=width).split(sizes)[rank])
    try:
        moments.all_reduce()
        np.save(f"{folder}/{rank}.npy", moments.covariance().numpy())
    except NervelabError as error:
        Path(folder, f"{rank}.txt").write_text(str(error))
    finally:
        distributed.destroy_process_group()


def reduced(width: int, sizes: tuple[int, int]) -> Path:
    folder = tempfile.mkdtemp()
    multiprocessing.start_processes(_rank, (folder, width, sizes), nprocs=2, start_method="spawn")
    return Path(folder)


@pytest.mark.parametrize("sizes", [(50, 70), (5, 3)])
def test_ranks_end_with_the_moments_of_all(sizes: tuple[int, int]) -> None:
    """More rows than units, and so few that each rank had kept its own."""
    folder = reduced(20, sizes)
    expected = np.cov(oracle.activations("large-mean", n=sum(sizes), width=20).double().numpy(), rowvar=False)
    first, second = (np.load(folder / f"{rank}.npy") for rank in (0, 1))
    assert np.array_equal(first, second)
    np.testing.assert_allclose(first, expected, rtol=0, atol=1e-9 * expected.max())


def test_a_rank_without_tokens_is_told_to_all() -> None:
    folder = reduced(20, (8, 0))
    for rank in (0, 1):
        assert "a rank has measured no token" in (folder / f"{rank}.txt").read_text()
