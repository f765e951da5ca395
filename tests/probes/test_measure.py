"""A whole measurement against activations kept by hand and float64 numpy."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from nervelab.errors import NervelabError
from nervelab.models.ffn import feed_forward
from nervelab.probes.measure import LayerSpectra, measure
from nervelab.probes.rows import eigenvalue_rows, estimator_rows, spectra_rows
from nervelab.probes.sites import find_ffns
from nervelab.spectra.moments import NonFiniteError
from nervelab.spectra.spectrum import Spectrum
from tests.probes.ffns_by_hand import Stack, batches, kept_by_hand, numpy_spectrum


def by_hand(model: nn.Module, inputs: list, taps: list[tuple[nn.Module, nn.Module]]) -> list[tuple[np.ndarray, ...]]:
    """Spectra of outputs of `pre` and inputs of `down`, all activations kept."""
    return [tuple(map(numpy_spectrum, both)) for both in kept_by_hand(model, inputs, taps)]


def assert_measured(layers: list[LayerSpectra], expected: list[tuple[np.ndarray, ...]]) -> None:
    assert [layer.layer for layer in layers] == list(range(len(expected)))
    for layer, (pre, post) in zip(layers, expected, strict=True):
        # The oracle's pre-activations were rounded to float32 by the model; ours were never formed.
        np.testing.assert_allclose(layer.pre.eigenvalues, pre, rtol=0, atol=1e-6 * pre[0])
        np.testing.assert_allclose(layer.post.eigenvalues, post, rtol=0, atol=1e-9 * post[0])


def assert_same(some: list[LayerSpectra], others: list[LayerSpectra]) -> None:
    for one, other in zip(some, others, strict=True):
        assert np.array_equal(one.pre.eigenvalues, other.pre.eigenvalues)
        assert np.array_equal(one.post.eigenvalues, other.post.eigenvalues)


def test_gpt2_of_transformers() -> None:
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(n_layer=2, n_head=2, n_embd=16, vocab_size=50, n_positions=32))
    inputs = [torch.randint(50, (6, 32)) for _ in range(3)]
    layers = measure(model.train(), inputs)
    assert [layer.name for layer in layers] == ["transformer.h.0.mlp", "transformer.h.1.mlp"]
    assert {layer.post.n_tokens for layer in layers} == {6 * 32 * 3}
    mlps = [block.mlp for block in model.transformer.h]
    assert_measured(layers, by_hand(model, inputs, [(mlp.c_fc, mlp.c_proj) for mlp in mlps]))


def test_llama_of_transformers() -> None:
    torch.manual_seed(0)
    config = LlamaConfig(
        num_hidden_layers=2, hidden_size=16, intermediate_size=40, num_attention_heads=2, vocab_size=50
    )
    model = LlamaForCausalLM(config)
    inputs = [torch.randint(50, (6, 32)) for _ in range(3)]
    mlps = [layer.mlp for layer in model.model.layers]
    expected = by_hand(model, inputs, [(mlp.gate_proj, mlp.down_proj) for mlp in mlps])
    assert_measured(measure(model, inputs), expected)


@pytest.mark.parametrize("normed", [weight_norm, spectral_norm])
@pytest.mark.parametrize("width", [24, 8, 5])
def test_parametrised_weights(normed, width: int) -> None:
    model = Stack(width=width)
    for ffn in model.ffns:
        normed(ffn.up)
        normed(ffn.down)
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    layers = measure(model, batches(), sites=find_ffns(model.ffns))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert_measured(layers, by_hand(model, batches(), [(ffn.up, ffn.down) for ffn in model.ffns]))


def test_gated() -> None:
    model = Stack("swiglu")
    assert_measured(measure(model, batches()), by_hand(model, batches(), [(ffn.gate, ffn.down) for ffn in model.ffns]))


def test_micro_batches_are_one_batch_and_repetition_is_bitwise() -> None:
    model = Stack()
    whole = measure(model, [torch.cat(batches())])
    parts = measure(model, iter(batches()))
    assert_same(parts, measure(model, batches()))
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one.pre.eigenvalues, other.pre.eigenvalues, rtol=1e-5)
        np.testing.assert_allclose(one.post.eigenvalues, other.post.eigenvalues, rtol=1e-5)


def test_autocast_changes_nothing() -> None:
    model = Stack()
    expected = measure(model, batches())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_same(measure(model, batches()), expected)


def test_training_goes_on_as_if_nothing_was_measured() -> None:
    model = Stack().train()
    model.ffns[0].eval()
    modes = [module.training for module in model.modules()]
    generator = torch.get_rng_state()
    measure(model, batches())
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), generator)
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model(batches()[0]).requires_grad


@pytest.mark.parametrize("where", ["activations", "weights"])
def test_divergence_is_told_apart_and_leaves_no_hooks(where: str) -> None:
    model = Stack(layers=1)
    inputs = batches()
    if where == "activations":
        inputs[1][0, 0, 0] = torch.nan
    else:
        model.ffns[0].up.weight.data[0, 0] = torch.inf
    with pytest.raises(NonFiniteError):
        measure(model, inputs)
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_no_ffns_are_no_measurement() -> None:
    with pytest.raises(NervelabError, match="`sites` is empty: pass the FFNs to measure"):
        measure(Stack(), batches(), sites=[])


def test_an_ffn_that_is_not_called_is_named() -> None:
    model = Stack()
    unused = nn.ModuleDict({"used": model, "idle": feed_forward(8, 16, "relu", bias=False)})
    with pytest.raises(NervelabError, match="'idle' saw 0 tokens before and 0 after"):
        measure(model, batches(), sites=find_ffns(unused))


def test_unpaired_tokens_are_refused() -> None:
    model = Stack(layers=1)
    up = model.ffns[0].up

    def reuse(*_call: object) -> None:
        up(torch.ones(3, 8))

    model.register_forward_hook(reuse)
    with pytest.raises(NervelabError, match=r"'ffns\.0' saw 489 tokens before and 480 after"):
        measure(model, batches())


def test_compiled_code_that_ignores_taps_is_refused() -> None:
    model = torch.compile(Stack(layers=1).eval(), backend="eager")
    with torch.no_grad():
        model(batches()[0])
    with pytest.raises(NervelabError, match=r"saw 0 tokens.*measure an uncompiled model"):
        measure(model, batches())


def test_rows_have_the_columns_of_the_tables() -> None:
    model = Stack()
    layers = measure(model, batches())
    spectra = spectra_rows(layers, step=40)
    assert [row["layer"] for row in spectra] == [0, 1]
    assert list(spectra[1]) == [
        "step", "layer", "group", "estimator", "se_pre", "se_post", "pr_pre", "pr_post", "eee_pre", "eee_post",
        "js", "pr_gain", "delta_eee", "n_tokens", "width",
    ]  # fmt: skip
    assert [spectra[1][key] for key in ("step", "group", "estimator", "n_tokens", "width")] == [
        40, "all", "full", 480, 24
    ]  # fmt: skip
    eigenvalues = eigenvalue_rows(layers, step=40)
    assert list(eigenvalues[0]) == ["step", "layer", "group", "estimator", "eigenvalues_pre", "eigenvalues_post"]
    for row, metrics in zip(eigenvalues, spectra, strict=True):
        again = Spectrum(row["eigenvalues_post"].numpy(), n_tokens=480, solver="file")
        assert again.width == len(row["eigenvalues_pre"]) == 24
        share = again.eigenvalues / again.eigenvalues.sum()
        assert metrics["pr_post"] == pytest.approx(1 / (share**2).sum())


ESTIMATORS = ("full", "sampling-0.25", "sampling-0.25-richardson", "randsvd-1/6", "lanczos-1/6-tail", "bkq-2x4", "auto")


def test_several_estimators_from_one_forward() -> None:
    model = Stack()
    calls = []
    model.register_forward_pre_hook(lambda *_: calls.append(1))
    found = measure(model, batches(), estimators=ESTIMATORS)
    assert len(calls) == 3
    assert [(each.layer, each.estimator) for each in found] == [
        (layer, name) for layer in (0, 1) for name in (*ESTIMATORS[:-1], "full")
    ]
    assert_same(found[:: len(ESTIMATORS)], measure(model, batches()))
    assert_same(found[:: len(ESTIMATORS)], found[len(ESTIMATORS) - 1 :: len(ESTIMATORS)])
    sampled, richardson = found[1:3]
    assert 2 <= sampled.pre.n_tokens < 480 / 2
    assert sampled.pre.n_tokens == sampled.post.n_tokens
    assert_same([sampled], [richardson])
    assert richardson.metrics()["pr_post"] == richardson.stated["pr_post"] != sampled.metrics()["pr_post"]


def test_samples_are_paired_and_the_same_in_every_chunking() -> None:
    """ReLU of a plain copy of the input: the spectra before and after are those of the very same rows."""
    ffn = nn.Sequential(nn.Linear(8, 8, bias=False), nn.ReLU(), nn.Linear(8, 8))
    ffn[0].weight.data = torch.eye(8)
    x = torch.randn(300, 8, generator=torch.Generator().manual_seed(2))
    (whole,) = measure(nn.Sequential(ffn), [x], estimators=["sampling-0.2"])
    (parts,) = measure(nn.Sequential(ffn), x.split(70), estimators=["sampling-0.2"])
    kept = x[np.flatnonzero(np.random.default_rng(0).random(300) / 0.2 < 1)]
    for each in (whole, parts):
        np.testing.assert_allclose(each.pre.eigenvalues, numpy_spectrum(kept.double().numpy()), rtol=1e-6)
        np.testing.assert_allclose(each.post.eigenvalues, numpy_spectrum(kept.relu().double().numpy()), rtol=1e-6)


def test_double_is_float64_at_every_width() -> None:
    ffn = nn.Sequential(nn.Linear(8, 600), nn.GELU(), nn.Linear(600, 8))
    x = [torch.randn(700, 8, generator=torch.Generator().manual_seed(2))]
    solvers = [measure(nn.Sequential(ffn), x, double=double)[0].post.solver for double in (False, True)]
    assert solvers[1] == "torch eigvalsh float64 cpu"
    assert "float32" in solvers[0]


def test_an_unknown_estimator_is_refused_before_the_forward() -> None:
    with pytest.raises(NervelabError, match="'half' names no estimator"):
        measure(Stack(), [None], estimators=["half"])


def test_seconds_of_each_estimator() -> None:
    layers = measure(Stack(), batches(), estimators=("full", "sampling-0.25"))
    assert all(layer.moments_seconds > 0 and layer.solve_seconds > 0 for layer in layers)
    rows = estimator_rows(layers, step=7)
    assert [row["estimator"] for row in rows] == ["full", "sampling-0.25"]
    assert [list(row) for row in rows] == [["step", "estimator", "moments_seconds", "solve_seconds"]] * 2
    assert rows[0]["solve_seconds"] == pytest.approx(layers[0].solve_seconds + layers[2].solve_seconds)


def test_one_token_is_too_few() -> None:
    with pytest.raises(NervelabError, match="at least 2 tokens, got 1"):
        measure(Stack(), [torch.ones(1, 8)])
    with pytest.raises(NervelabError, match="at least 2 tokens"):
        measure(Stack(), [torch.ones(3, 8)], estimators=["sampling-0.01"])


def test_dead_ffns_have_no_metrics() -> None:
    model = Stack("relu", layers=1)
    model.ffns[0].up.bias.data.fill_(-1e9)
    (layer,) = measure(model, batches())
    assert not layer.post.eigenvalues.any()
    assert np.isnan([layer.metrics()[name] for name in ("se_post", "pr_post", "eee_post", "js")]).all()
    assert layer.metrics()["pr_pre"] > 1
