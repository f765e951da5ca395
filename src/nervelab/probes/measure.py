"""One measurement of a model: the pre- and post-activation spectra of each of its FFNs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from nervelab.errors import NervelabError
from nervelab.probes.sites import FFNSite, find_ffns
from nervelab.probes.tap import evaluating, tapped
from nervelab.spectra.exact import direct_spectrum, projected_spectrum
from nervelab.spectra.spectrum import Spectrum


@dataclass(frozen=True, eq=False)
class LayerSpectra:
    """The two spectra of one FFN, over the same tokens; `layer` counts the FFNs from 0."""

    layer: int
    name: str
    pre: Spectrum
    post: Spectrum


def measure(model: nn.Module, batches: Iterable[Any], sites: Sequence[FFNSite] | None = None) -> list[LayerSpectra]:
    """Run `model(batch)` on every micro-batch and return the spectra of its FFNs (NerVE, section 2).

    The forward is separate from training: eval mode, no gradients, no autocast (the spectra are those of the
    float32 network, whatever precision it trains in), the mode of every submodule restored. What is measured
    is the input of the FFN, from which the spectrum of the pre-activation follows, and the input of its down
    projection; both are streamed, so memory grows with the squares of the widths and not with the tokens.

    Args:
        model: called once a batch; uncompiled, as compiled code does not run hooks that are added later.
        batches: whatever the model takes, on its device.
        sites: the FFNs to measure; by default all that `find_ffns` finds.

    Raises:
        NervelabError: no FFN was found, or one of them saw fewer than two tokens.
        NonFiniteError: activations or weights are not finite.
    """
    sites = find_ffns(model) if sites is None else sites
    inputs = [site.pre for site in sites]
    posts = [site.down for site in sites]
    with evaluating(model):
        with tapped([*inputs, *posts]) as moments:
            for batch in batches:
                model(batch)
        layers = []
        for layer, site in enumerate(sites):
            of_input, of_post = moments[layer], moments[layer + len(sites)]
            if not of_input.n or of_input.n != of_post.n:
                raise NervelabError(
                    f"FFN '{site.name}' saw {of_input.n} tokens before and {of_post.n} after its nonlinearity: "
                    "measure an uncompiled model, and pass as sites only the FFNs that it calls."
                )
            pre = projected_spectrum(of_input, site.weight())
            layers.append(LayerSpectra(layer, site.name, pre=pre, post=direct_spectrum(of_post)))
    return layers
