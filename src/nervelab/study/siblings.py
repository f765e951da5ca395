"""The rule by which a small model stands for one of the paper's: its sibling.

A base that says `sibling: {d_model: ..., layers: ...}` beside its `from:` inherits the paper's model, and of it

- its maps are drawn with the paper's standard deviation times sqrt(d of the paper / d), so that what a map makes of a
  normed input has the size that it has in the paper's model; a deviation by fan follows from the shapes already, and so
  does that of the Mixer's FFNs over channels (the fan of those over patches is the number of patches, which is left to
  the budget: on 16 patches in place of 64 their pre-activations start 1.5 times as large);
- embeddings of tokens and positions keep the paper's deviation: with it the residual stream starts as large as the
  paper's, and so do the pre-activations of models without normalisation. A recipe may scale it as that of the maps
  (`embedding: scaled`): a short training spends itself on making a small embedding larger. Pre-activations of models
  with normalisation stay as they are; those of models without start larger by about as much;
- depth scaling, where the paper's source has it, is by the sibling's own depth;
- D = k d stays so; a width that is no multiple of d, and the Mixer's over patches, are scaled by d / d of the paper
  (the former to the nearest multiple of 8);
- the heads become fewer and narrower alike: the paper's number times sqrt(d / d of the paper), or rather the nearest
  number by ratio that leaves an even width, of two alike the smaller.

Everything else is the paper's, decay and schedule of its optimiser included. Left to the budget, and stated with the
base: data, vocabulary, context, depth, batch, steps, precision, the size of patches, and dropout; to a sweep: rates.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, Literal

from nervelab.study.config import Model, Record
from nervelab.study.config.record import Positive

DERIVED = ("d_model", "layers", "heads", "ffn_width", "token_width", "init_std")
"""The keys of a model that the rule sets: a base with a sibling states them only at the paper's scale."""
_FFN_MULTIPLE = 8

EMBEDDING_STD = "model.embedding_std"
Embedding = Literal["kept", "scaled"]
"""Whether a sibling's embeddings have the paper's deviation, or that times what its maps' is raised by."""


class Sibling(Record):
    """What is chosen of a sibling: its width and its depth."""

    d_model: Positive
    layers: Positive


def sibling_of(model: Model, sibling: Sibling) -> dict[str, Any]:
    """The settings of a model's sibling.

    Raises:
        ValueError: no number of heads fits the width.
    """
    narrower = sibling.d_model / model.d_model
    changed: dict[str, Any] = {"d_model": sibling.d_model, "layers": sibling.layers}
    if model.family == "mixer":
        changed["token_width"] = max(1, round(model.token_width * narrower))
    else:
        changed["heads"] = _heads(Fraction(model.heads**2 * sibling.d_model, model.d_model), sibling.d_model)
        if model.ffn_width is not None:
            changed["ffn_width"] = max(1, round(model.ffn_width * narrower / _FFN_MULTIPLE)) * _FFN_MULTIPLE
        if model.init_std != "fan":
            changed["init_std"] = model.init_std / math.sqrt(narrower)
    return model.model_dump(mode="json") | changed


def embedding_std(model: Model, narrower: float, embedding: Embedding) -> float:
    """The deviation of the embeddings of a sibling, a decoder whose d is `narrower` times the paper's."""
    return model.embedding_std / math.sqrt(narrower) if embedding == "scaled" else model.embedding_std


def _heads(wanted_squared: Fraction, d_model: int) -> int:
    """The number of heads of even width whose square is nearest by ratio; exact, as two may be equally near."""
    possible = [heads for heads in range(1, d_model + 1) if d_model % heads == 0 and d_model // heads % 2 == 0]
    if not possible:
        raise ValueError(f"d_model ({d_model}) must be even, as heads have an even width")
    return min(possible, key=lambda heads: max(heads**2 / wanted_squared, wanted_squared / heads**2))
