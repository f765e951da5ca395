"""Groups of token positions, and tokens left out, against rows of activations selected by hand."""

from itertools import accumulate

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nervelab.errors import NervelabError
from nervelab.models.ffn import feed_forward
from nervelab.probes.measure import LayerSpectra, measure
from nervelab.probes.positions import ALL, UNMEASURED, Labels, Positions
from nervelab.probes.rows import eigenvalue_rows, estimator_rows, spectra_rows
from nervelab.probes.sites import find_ffns
from tests.probes.ffns_by_hand import Stack, batches, kept_by_hand, numpy_spectrum

THIRDS = ("early", "middle", "late")
Batch = tuple[torch.Tensor, torch.Tensor]


class OfLabelled(nn.Module):
    """A model run on batches that come with their labels."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> torch.Tensor:
        return self.model(batch[0])


def positions(names: tuple[str, ...] = THIRDS) -> Positions:
    return Positions(names, label=lambda batch: batch[1])


def padded_batches() -> list[Batch]:
    """Sequences of 16 tokens, each third of them about a mean of its own, some with padding at their end."""
    thirds_T = torch.arange(16) * 3 // 16
    found = []
    for x_BTd in batches():
        labels_BT = thirds_T.repeat(len(x_BTd), 1)
        for sequence, padding in enumerate((0, 3, 0, 9, 1)):
            labels_BT[sequence, 16 - padding :] = UNMEASURED
        found.append((x_BTd * (1 + thirds_T[:, None]) + 2 * thirds_T[:, None], labels_BT))
    return found


def taps(model: nn.Module) -> list[tuple[nn.Module, nn.Module]]:
    return [(site.pre, site.down) for site in find_ffns(model)]


def of_group(labels_N: np.ndarray, group: str) -> np.ndarray:
    """The row numbers of a group of thirds, or of all that is measured."""
    return np.flatnonzero(labels_N != UNMEASURED if group == ALL else labels_N == THIRDS.index(group))


def metrics_by_hand(pre: np.ndarray, post: np.ndarray) -> dict[str, float]:
    p, q = (np.maximum(each, 0) / each.clip(0).sum() for each in (pre, post))

    def divergence(of: np.ndarray) -> float:
        return sum(x * np.log(x / m) for x, m in zip(of, (p + q) / 2, strict=True) if x > 0)

    found = {"js": (divergence(p) + divergence(q)) / 2}
    for site, shares in (("pre", p), ("post", q)):
        width = len(shares)
        found[f"se_{site}"] = -sum(x * np.log(x) for x in shares if x > 0)
        found[f"pr_{site}"] = 1 / (shares**2).sum()
        found[f"eee_{site}"] = 2 / width * (shares.cumsum() - np.arange(1, width + 1) / width).sum()
    return found


def assert_same(some: list[LayerSpectra], others: list[LayerSpectra]) -> None:
    for one, other in zip(some, others, strict=True):
        assert (one.name, one.estimator, one.group) == (other.name, other.estimator, other.group)
        assert np.array_equal(one.pre.eigenvalues, other.pre.eigenvalues)
        assert np.array_equal(one.post.eigenvalues, other.post.eigenvalues)


def assert_close(one: LayerSpectra, other: LayerSpectra, tolerance: float = 1e-9) -> None:
    assert (one.pre.n_tokens, one.post.n_tokens) == (other.pre.n_tokens, other.post.n_tokens)
    for ours, theirs in ((one.pre.eigenvalues, other.pre.eigenvalues), (one.post.eigenvalues, other.post.eigenvalues)):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * theirs[0])


@pytest.mark.parametrize("activation", ["gelu", "swiglu"])
@pytest.mark.parametrize(
    "width",
    [
        pytest.param(24, id="products"),
        pytest.param(200, id="products of all, Gram matrices of groups"),
        pytest.param(600, id="Gram matrices of all, of float32 rows"),
    ],
)
def test_groups_and_all_are_the_spectra_of_their_rows(activation: str, width: int) -> None:
    model, inputs = OfLabelled(Stack(activation, width)), padded_batches()
    labels_N = np.concatenate([labels_BT.numpy().ravel() for _, labels_BT in inputs])
    layers = measure(model, inputs, positions=positions())
    assert [(each.layer, each.group) for each in layers] == [(at, group) for at in (0, 1) for group in (ALL, *THIRDS)]
    kept = kept_by_hand(model, inputs, taps(model))
    for each in layers:
        rows = of_group(labels_N, each.group)
        assert each.pre.n_tokens == each.post.n_tokens == len(rows)
        pre, post = (numpy_spectrum(activations[rows]) for activations in kept[each.layer])
        # The oracle's pre-activations were rounded to float32 by the model; ours were never formed.
        np.testing.assert_allclose(each.pre.eigenvalues, pre, rtol=0, atol=1e-6 * pre[0])
        np.testing.assert_allclose(each.post.eigenvalues, post, rtol=0, atol=(1e-9 if width < 512 else 1e-6) * post[0])
        found = each.metrics()
        for name, value in metrics_by_hand(pre, post).items():
            assert found[name] == pytest.approx(value, rel=1e-4, abs=1e-5), name


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 2), max_size=60), st.lists(st.integers(1, 20), max_size=5), st.sampled_from([5, 24, 80]))
def test_all_is_what_is_measured_without_groups(drawn: list[int], sizes: list[int], width: int) -> None:
    labels_N = torch.tensor([0, 0, 1, 1, 2, 2, *drawn])
    x_Nd = torch.randn(len(labels_N), 8, generator=torch.Generator().manual_seed(len(drawn))) + 5 * labels_N[:, None]
    cuts = tuple(accumulate(sizes))
    chunks = list(zip(x_Nd.tensor_split(cuts), labels_N.tensor_split(cuts), strict=True))
    model = OfLabelled(Stack(width=width))
    grouped = measure(model, chunks, positions=positions())
    for one, other in zip(grouped[:: 1 + len(THIRDS)], measure(model, chunks), strict=True):
        assert_close(one, other)


@pytest.mark.parametrize("filling", [1e30, torch.inf, torch.nan])
@pytest.mark.parametrize("names", [THIRDS, ()])
def test_what_lies_in_padding_changes_nothing(filling: float, names: tuple[str, ...]) -> None:
    model, inputs = OfLabelled(Stack()), padded_batches()
    if not names:
        inputs = [(x_BTd, labels_BT.clamp(max=0)) for x_BTd, labels_BT in inputs]
    estimators = ("full", "sampling-0.5", "sampling-0.5-richardson")
    expected = measure(model, inputs, estimators=estimators, positions=positions(names))
    filled = [
        (x_BTd.masked_fill((labels_BT == UNMEASURED)[..., None], filling), labels_BT) for x_BTd, labels_BT in inputs
    ]
    found = measure(model, filled, estimators=estimators, positions=positions(names))
    assert_same(found, expected)
    assert all(each.stated == other.stated for each, other in zip(found, expected, strict=True))


def test_without_names_padding_alone_is_dropped() -> None:
    model = OfLabelled(Stack())
    inputs = [(x_BTd, labels_BT.clamp(max=0)) for x_BTd, labels_BT in padded_batches()]
    found = measure(model, inputs, positions=positions(()))
    assert [each.group for each in found] == [ALL, ALL]
    for one, other in zip(
        found, measure(model, padded_batches(), positions=positions())[:: 1 + len(THIRDS)], strict=True
    ):
        assert_close(one, other)


def test_several_estimators_at_once() -> None:
    """Those of all tokens work on the sum of the groups, samples are drawn from the measured tokens in their order."""
    model, inputs = OfLabelled(Stack(layers=1)), padded_batches()
    names = ("sampling-0.5", "full", "sampling-0.5-unbiased", "bkq-2x4", "sampling-0.25-richardson", "auto")
    found = measure(model, inputs, estimators=names, positions=positions())
    assert [(each.estimator, each.group) for each in found] == [
        *((name, ALL) for name in (*names[:-1], "full")),
        *(("full", group) for group in THIRDS),
    ]
    measured = [(x_BTd[labels_BT != UNMEASURED], None) for x_BTd, labels_BT in inputs]
    for one, other in zip(found, measure(model, measured, estimators=names), strict=False):
        # Float32 forwards over other numbers of rows differ in their last bits.
        assert_close(one, other, tolerance=1e-5)
        assert one.stated == pytest.approx(other.stated, rel=1e-5)
    # `full` need not be asked for.
    (_, *groups) = measure(model, inputs, estimators=["sampling-0.5"], positions=positions())
    assert_same(groups, found[-3:])


def test_rows_name_the_group_and_seconds_count_all_alone() -> None:
    layers = measure(OfLabelled(Stack()), padded_batches(), positions=positions())
    groups = [ALL, *THIRDS] * 2
    assert [row["group"] for row in spectra_rows(layers, step=3)] == groups
    assert [row["group"] for row in eigenvalue_rows(layers, step=3)] == groups
    (row,) = estimator_rows(layers, step=3)
    assert all(each.moments_seconds > 0 and each.solve_seconds > 0 for each in layers)
    assert row["moments_seconds"] == layers[0].moments_seconds + layers[4].moments_seconds
    assert row["solve_seconds"] == layers[0].solve_seconds + layers[4].solve_seconds


def refused(model: nn.Module, inputs: list[Batch], message: str, names: tuple[str, ...] = THIRDS) -> None:
    with pytest.raises(NervelabError, match=message):
        measure(model, inputs, positions=positions(names))
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("tokens", [0, 1])
def test_a_group_of_fewer_than_two_tokens_is_named(tokens: int) -> None:
    inputs = [(x_BTd, labels_BT.clamp(max=1)) for x_BTd, labels_BT in padded_batches()]
    inputs[0][1][0, :tokens] = 2
    refused(OfLabelled(Stack()), inputs, f"'late' has {tokens} tokens, and a covariance needs at least 2")


def test_nothing_but_padding_is_too_few() -> None:
    inputs = [(x_BTd, torch.full_like(labels_BT, UNMEASURED)) for x_BTd, labels_BT in padded_batches()]
    refused(OfLabelled(Stack()), inputs, "at least 2 tokens, got 0", names=())
    refused(OfLabelled(Stack()), inputs, "'early' has 0 tokens")


@pytest.mark.parametrize("names", [THIRDS, ()])
def test_labels_have_to_be_as_many_as_the_tokens_of_each_ffn(names: tuple[str, ...]) -> None:
    inputs = [(x_BTd, labels_BT[:, :-1].clamp(max=0)) for x_BTd, labels_BT in padded_batches()]
    refused(OfLabelled(Stack()), inputs, r"'model\.ffns\.0' saw 160 tokens of a batch of which .* labels 150", names)


def test_an_ffn_over_something_other_than_tokens_is_named() -> None:
    class Mixer(nn.Module):
        """One FFN over tokens, one over channels."""

        def __init__(self) -> None:
            super().__init__()
            self.channels = feed_forward(8, 24, "gelu", bias=True)
            self.tokens = feed_forward(16, 24, "gelu", bias=True)

        def forward(self, x_BTd: torch.Tensor) -> torch.Tensor:
            return self.tokens(self.channels(x_BTd).mT)

    model = OfLabelled(Mixer())
    refused(model, padded_batches(), r"'model\.tokens' saw 80 tokens of a batch of which .* labels 160")
    (site,) = find_ffns(nn.ModuleList([model.model.channels]))
    assert len(measure(model, padded_batches(), [site], positions=positions())) == 4


@pytest.mark.parametrize(("label", "names", "last"), [(3, THIRDS, 2), (-2, THIRDS, 2), (1, (), 0)])
def test_labels_of_no_group_are_refused(label: int, names: tuple[str, ...], last: int) -> None:
    inputs = [(x_BTd, labels_BT.clamp(max=0)) for x_BTd, labels_BT in padded_batches()]
    inputs[1][1][2, 2] = label
    refused(OfLabelled(Stack()), inputs, f"labels a token {label}: label the tokens from 0 to {last}", names)


@pytest.mark.parametrize("names", [("early", "early"), ("early", ALL)])
def test_names_of_groups_differ_from_each_other_and_from_all(names: tuple[str, ...]) -> None:
    with pytest.raises(NervelabError, match="two groups of positions have one name in all, early"):
        positions(names)


def test_labels_are_read_before_the_model_runs() -> None:
    """So a label function may look at a batch that the model changes in place."""
    order = []
    model = OfLabelled(Stack())
    model.register_forward_pre_hook(lambda *_: order.append("model"))
    label = Positions(THIRDS, label=lambda batch: (order.append("label"), batch[1])[1])
    measure(model, padded_batches(), positions=label)
    assert order == ["label", "model"] * 3


def test_rows_are_copied_only_where_there_are_positions() -> None:
    """Without them moments see the activations themselves, so nothing is slower than it was."""
    x_ND = torch.randn(4, 3)
    without = Labels(None)
    without.read("a batch of any kind")
    for parts in (without.together("ffn", x_ND), without.by_group("ffn", x_ND)):
        (part,) = parts
        assert part.data_ptr() == x_ND.data_ptr()
        assert torch.equal(part, x_ND)
