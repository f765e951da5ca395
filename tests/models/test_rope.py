"""Rotary positions against complex numbers, and what they are for."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from nervelab.models.rope import Rope
from tests.support.models import small

CONTEXT = 48
HALVES = st.integers(1, 16)
BASES = st.floats(1.5, 1e6)
SEEDS = st.integers(0, 2**31)


def vectors(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@given(HALVES, BASES, SEEDS)
def test_pairs_half_a_head_apart_are_multiplied_by_a_phase(half: int, base: float, seed: int):
    x_BHTe = vectors(seed, 2, 3, CONTEXT, 2 * half)
    x = x_BHTe.double().numpy()
    phases = np.exp(1j * np.outer(np.arange(CONTEXT), base ** (-np.arange(half) / half)))
    turned = (x[..., :half] + 1j * x[..., half:]) * phases
    expected = np.concatenate([turned.real, turned.imag], axis=-1)
    # A float32 angle below 48 is off by at most a few 1e-6.
    np.testing.assert_allclose(Rope(CONTEXT, 2 * half, base)(x_BHTe), expected, rtol=0, atol=1e-4)


@given(HALVES, BASES, SEEDS)
def test_scores_depend_on_the_difference_of_positions_only(half: int, base: float, seed: int):
    rope = Rope(CONTEXT, 2 * half, base)
    query_Te, key_Te = (rope(each.expand(CONTEXT, -1)) for each in vectors(seed, 2, 1, 2 * half))
    scores_TT = query_Te @ key_Te.T
    size = query_Te[0].norm() * key_Te[0].norm()
    torch.testing.assert_close(scores_TT[1:, 1:], scores_TT[:-1, :-1], rtol=0, atol=1e-4 * size.item())


@given(HALVES, BASES, SEEDS)
def test_norms_are_preserved_and_the_first_position_is_untouched(half: int, base: float, seed: int):
    x_Te = vectors(seed, CONTEXT, 2 * half)
    turned_Te = Rope(CONTEXT, 2 * half, base)(x_Te)
    torch.testing.assert_close(turned_Te.norm(dim=1), x_Te.norm(dim=1), rtol=1e-5, atol=1e-6)
    assert torch.equal(turned_Te[0], x_Te[0])


def test_the_table_is_float32_and_no_checkpoint_holds_it():
    model = small(positions="rope")
    tables = dict(model.named_buffers())
    assert len(tables) == 2 * len(model.blocks)
    assert {each.dtype for each in tables.values()} == {torch.float32}
    assert not tables.keys() & model.state_dict().keys()
    x_Te = vectors(0, 1024, 64).bfloat16()
    exact = Rope(1024, 64, 10000.0)(x_Te.float())
    torch.testing.assert_close(Rope(1024, 64, 10000.0)(x_Te), exact, rtol=0, atol=0)
