"""Sub-sampling: which tokens are drawn, and how far the two corrections bring a sample to all tokens."""

import math
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nervelab.errors import NervelabError
from nervelab.spectra.covariance import direct
from nervelab.spectra.exact import exact_spectrum
from nervelab.spectra.metrics import paired_metrics, participation_ratio
from nervelab.spectra.moments import Moments
from nervelab.spectra.names import parse
from nervelab.spectra.sampling import Sample, SampledMoments, extrapolated, sampled_spectra, unbiased_participation
from tests.spectra import spectral_oracle as oracle


def numbered(n: int) -> torch.Tensor:
    """Rows that tell which they are: n of width 1."""
    return torch.arange(float(n)).unsqueeze(1)


def sample(x: torch.Tensor, ratio: float, seed: int = 0) -> Sample:
    moments = SampledMoments(ratio, seed=seed)
    moments.update(x)
    halves = tuple(direct(half, as_gram=False) for half in moments.halves)
    return Sample(direct(moments.whole()), halves=halves, seen=moments.seen)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=6), st.integers(0, 5))
def test_the_draw_depends_on_position_and_seed_alone(sizes: list[int], seed: int) -> None:
    x = torch.cat([numbered(sum(sizes)), torch.zeros(sum(sizes), 2000)], dim=1)  # wide, so that rows are kept
    chunked, at_once, less = (SampledMoments(ratio, seed=seed) for ratio in (0.4, 0.4, 0.2))
    for chunk in x.split(sizes):
        chunked.update(chunk)
    at_once.update(x)
    less.update(x)
    kept = [[_first_column(half) for half in each.halves] for each in (chunked, at_once, less)]
    assert kept[0] == kept[1]
    assert not set(kept[0][0]) & set(kept[0][1])
    assert set(chain(*kept[2])) == set(kept[0][0])
    assert chunked.seen == len(x)
    assert chunked.n == len(list(chain(*kept[0])))


def _first_column(moments: Moments) -> list[int]:
    if not moments.n:
        return []
    return [round(value) for rows in moments._rows for value in (rows.double() + moments._pilot_D)[:, 0].tolist()]


def test_the_share_is_as_asked_for() -> None:
    moments = SampledMoments(0.1)
    moments.update(torch.randn(50_000, 2))
    assert moments.n == pytest.approx(5000, rel=0.05)
    assert moments.halves[0].n == pytest.approx(2500, rel=0.08)


@pytest.mark.parametrize("width", [20, 600])
def test_a_sample_is_the_spectrum_of_its_tokens(width: int) -> None:
    x = oracle.activations("large-mean", n=2000, width=width)
    kept = np.flatnonzero(np.random.default_rng(0).random(2000) / 0.25 < 1)
    found = exact_spectrum(sample(x, 0.25).whole)
    assert found.n_tokens == len(kept)
    expected = oracle.eigenvalues(x[kept])
    np.testing.assert_allclose(found.eigenvalues, expected, rtol=0, atol=1e-5 * expected[0])


@pytest.mark.parametrize("kind", ["gaussian", "heavy-tailed"])
def test_the_unbiased_participation_ratio_is_unbiased(kind: str) -> None:
    """An isotropic width of 300 at 200 tokens: the plug-in value is 120; rows of random length make it less still."""
    generator, width = np.random.default_rng(0), 300
    plug_in, unbiased = [], []
    for _ in range(60):
        x = generator.standard_normal((200, width))
        if kind == "heavy-tailed":
            x *= generator.lognormal(sigma=0.5, size=(200, 1))
        halves = [Moments(), Moments()]
        for half, rows in zip(halves, torch.from_numpy(x).split(100), strict=True):
            half.update(rows)
        unbiased.append(1 / unbiased_participation(*(direct(half, as_gram=False) for half in halves)))
        halves[0].merge(halves[1])
        plug_in.append(participation_ratio(exact_spectrum(direct(halves[0])).eigenvalues))
    assert np.mean(plug_in) < 0.45 * width
    assert 1 / np.mean(unbiased) == pytest.approx(width, rel=0.05)


def test_richardson_comes_nearer_to_all_tokens_than_the_sample() -> None:
    pre = oracle.activations("random", n=6000, width=120)
    post = pre.relu()
    everything = [exact_spectrum(sample_all(x)) for x in (pre, post)]
    exact = paired_metrics(*everything)
    names = ("se_pre", "se_post", "pr_pre", "pr_post", "eee_pre", "eee_post")
    off = {"sampling-0.10": [], "sampling-0.10-richardson": []}
    for seed in range(8):
        samples = [sample(x, 0.1, seed) for x in (pre, post)]
        for name, errors in off.items():
            spectra = sampled_spectra(parse(name), *samples)
            found = paired_metrics(*spectra)
            errors.append([found[each] / exact[each] - 1 for each in names])
    plain, better = (np.abs(np.mean(errors, axis=0)) for errors in off.values())
    assert (better[:4] < plain[:4] / 3).all(), (plain, better)


def sample_all(x: torch.Tensor):
    moments = Moments()
    moments.update(x)
    return direct(moments)


def test_extrapolation_is_exact_for_what_is_linear() -> None:
    """SE = 5 - 3/n and 1/PR = 1/50 + 1/n, from 100 tokens and two halves of them, at 1000."""
    at = lambda n: {  # noqa: E731
        **dict.fromkeys(("se_pre", "se_post", "eee_pre", "eee_post", "js"), 0.5 - 3 / n),
        **dict.fromkeys(("pr_pre", "pr_post"), 1 / (1 / 50 + 1 / n)),
    }
    assert extrapolated(at(100), [at(50), at(50)], n=100, wanted=1000) == pytest.approx(at(1000))


def test_an_extrapolated_divergence_stays_in_its_range() -> None:
    def at(js: float) -> dict[str, float]:
        return dict.fromkeys(("se_pre", "se_post", "eee_pre", "eee_post", "pr_pre", "pr_post"), 1.0) | {"js": js}

    assert extrapolated(at(0.01), [at(0.5)] * 2, n=10, wanted=10**6)["js"] == 0
    assert extrapolated(at(0.69), [at(0.1)] * 2, n=10, wanted=10**6)["js"] == math.log(2)


def test_what_the_variants_state() -> None:
    x = oracle.activations("power-law", n=900, width=40)
    samples = [sample(x, 0.5), sample(x.relu(), 0.5)]
    plain, unbiased, richardson = (
        sampled_spectra(parse(f"sampling-0.5{variant}"), *samples) for variant in ("", "-unbiased", "-richardson")
    )
    assert plain[2] == {}
    assert sorted(unbiased[2]) == ["pr_post", "pr_pre"]
    assert sorted(richardson[2]) == ["eee_post", "eee_pre", "js", "pr_post", "pr_pre", "se_post", "se_pre"]
    assert plain[0].error == pytest.approx(participation_ratio(plain[0].eigenvalues) / plain[0].n_tokens)
    stated = paired_metrics(*unbiased)
    assert stated["pr_gain"] == pytest.approx(unbiased[2]["pr_post"] / unbiased[2]["pr_pre"])
    assert {spectrum.estimator for spectrum in richardson[:2]} == {"sampling-0.5-richardson"}


def test_zero_and_too_few_tokens() -> None:
    zero = sample(torch.zeros(200, 4), 0.5)
    assert math.isnan(unbiased_participation(*zero.halves))
    *spectra, stated = sampled_spectra(parse("sampling-0.5-richardson"), zero, zero)
    assert not any(spectrum.eigenvalues.any() for spectrum in spectra)
    assert all(math.isnan(value) for value in stated.values())
    with pytest.raises(NervelabError, match="at least 2 tokens"):
        sample(torch.ones(3, 4), 0.1)
