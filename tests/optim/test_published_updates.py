"""Several steps of torch's optimisers, as they are built here, against the published updates in float64 numpy."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
from torch import nn

from nervelab.study.components import OPTIMISERS
from nervelab.study.config import Adafactor, AdamW, Muon, Optimiser
from tests.support.optimisers import REST

Steps = list[np.ndarray]

# Far from the defaults, and so large that each of them shows.
ADAMW = AdamW(name="adamw", lr=0.1, betas=(0.7, 0.9), eps=0.05, weight_decay=0.5, decay=("matrix",))
ADAFACTOR = Adafactor(
    name="adafactor", lr=0.2, beta2_decay=-0.5, eps=(0.05, 0.4), clip=1.2, weight_decay=0.5, decay=("matrix",)
)
MUON = Muon(
    name="muon",
    lr=0.05,
    momentum=0.5,
    nesterov=False,
    ns_steps=3,
    adjust_lr_fn="spectral_unclamped",
    weight_decay=0.5,
    rest=REST,
)


def trained(settings: Optimiser, shape: tuple[int, int]) -> dict[str, tuple[np.ndarray, Steps, Steps]]:
    """Of a linear map: weight and bias before, their gradients at each of four steps, and what each step made of them.

    The third gradients are ten times as large as the others.
    """
    torch.manual_seed(0)
    linear = nn.Linear(shape[1], shape[0])
    optimiser = importlib.import_module(OPTIMISERS[settings.name]).build(settings, linear)
    random = np.random.default_rng(0)
    found = {name: (each.detach().double().numpy().copy(), [], []) for name, each in linear.named_parameters()}
    for scale in (0.1, 0.1, 1.0, 0.1):
        for name, parameter in linear.named_parameters():
            gradient = random.normal(scale=scale, size=parameter.shape).astype(np.float32)
            parameter.grad = torch.from_numpy(gradient)
            found[name][1].append(gradient.astype(np.float64))
        optimiser.step()
        for name, parameter in linear.named_parameters():
            found[name][2].append(parameter.detach().double().numpy().copy())
    return found


def adamw(x: np.ndarray, gradients: Steps, weight_decay: float) -> Steps:
    """Loshchilov & Hutter 2019, Algorithm 2."""
    (beta1, beta2), m, v, after = ADAMW.betas, 0.0, 0.0, []
    for t, g in enumerate(gradients, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        step = (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + ADAMW.eps)
        x = x - ADAMW.lr * (step + weight_decay * x)
        after.append(x)
    return after


def adafactor(x: np.ndarray, gradients: Steps, weight_decay: float) -> Steps:
    """Shazeer & Stern 2018, Algorithms 4 and 5, with torch's decay, floors and cap of the rate."""
    floor, least_size = ADAFACTOR.eps
    rows = columns = v = 0.0
    after = []
    for t, g in enumerate(gradients, start=1):
        new = t**ADAFACTOR.beta2_decay
        if x.ndim == 2:
            rows = (1 - new) * rows + new * (g**2).mean(axis=1)
            columns = (1 - new) * columns + new * (g**2).mean(axis=0)
            v = np.outer(rows, columns) / max(rows.mean(), floor)
        else:
            v = (1 - new) * v + new * g**2
        update = g / np.sqrt(np.maximum(v, floor**2))
        update = update / max(1, rms(update) / ADAFACTOR.clip)
        size = max(least_size, rms(x))
        x = x - ADAFACTOR.lr * weight_decay * x - min(ADAFACTOR.lr, 1 / np.sqrt(t)) * size * update
        after.append(x)
    return after


def rms(x: np.ndarray) -> float:
    return np.sqrt((x**2).mean())


def muon(x: np.ndarray, gradients: Steps) -> Steps:
    """Jordan et al. 2024: momentum, then Newton-Schulz's quintic on its singular values."""
    (m, n), momentum, after = x.shape, np.zeros_like(x), []
    for g in gradients:
        momentum = MUON.momentum * momentum + (1 - MUON.momentum) * g
        left, singular, right = np.linalg.svd(momentum / np.linalg.norm(momentum), full_matrices=False)
        for _ in range(MUON.ns_steps):
            singular = 3.4445 * singular - 4.775 * singular**3 + 2.0315 * singular**5
        x = x - MUON.lr * MUON.weight_decay * x - MUON.lr * np.sqrt(m / n) * (left * singular) @ right
        after.append(x)
    return after


@pytest.mark.parametrize(("settings", "published"), [(ADAMW, adamw), (ADAFACTOR, adafactor)])
def test_weights_and_biases_move_as_published_and_weights_alone_decay(settings: Optimiser, published):
    for name, (before, gradients, after) in trained(settings, (3, 5)).items():
        expected = published(before, gradients, settings.weight_decay if name == "weight" else 0.0)
        np.testing.assert_allclose(after, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(4, 6), (6, 4)])
def test_muon_orthonormalises_the_momentum_as_published(shape: tuple[int, int]):
    """Newton-Schulz runs in bfloat16: the steps, whose entries are of the order of the rate, agree to a 25th."""
    before, gradients, after = trained(MUON, shape)["weight"]
    np.testing.assert_allclose(after, muon(before, gradients), rtol=0, atol=MUON.lr / 25)
