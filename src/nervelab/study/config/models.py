"""The networks: a decoder and a Mixer, with their variants."""

from typing import Annotated, Literal

from pydantic import Field, Strict, model_validator

from nervelab.study.config.record import Positive, Record, Share

WeightedNorm = Literal["layernorm", "rmsnorm"]
Norm = Literal[WeightedNorm, "weightless-rmsnorm"]
Activation = Literal["gelu", "relu", "squared-relu", "learnable-leaky-relu", "geglu", "swiglu"]
Placement = Literal["preln", "postln", "mixln", "released", "none"]


class DecoderModel(Record):
    """A decoder-only transformer; every language model of the paper is a setting of it.

    The width D of its FFNs is `width_multiple` k in D = k d, for gated FFNs too, or `ffn_width` itself where it is no
    multiple of d. `mixln_post_share` is the share of layers that MixLN makes PostLN. `ffn_weights` is the geometry of
    the FFN's weights: free, or held by weight norm (one length per output unit; the authors' release has one per
    input), spectral norm, or on the unit sphere. `norm` is the kind of the blocks' norms, `final_norm` that of the one
    before the head, or null for none; `qk_norm` divides queries and keys by their root mean square. `biases` names the
    linear maps that have one. `init_std` is the standard deviation that the linear maps are drawn with, or "fan" for
    one that follows from their shapes, `embedding_std` that of the embeddings; `depth_scaled` divides that of the maps
    that end a residual branch by sqrt(2 layers). `models/decoder.py` has the formulas.
    """

    family: Literal["decoder"]
    d_model: Positive
    layers: Positive
    heads: Positive
    context: Positive
    width_multiple: Positive | None = None
    ffn_width: Positive | None = None
    activation: Activation
    ffn_weights: Literal["free", "weight-norm", "weight-norm-per-input", "spectral-norm", "hyperspherical"] = "free"
    placement: Placement
    mixln_post_share: Share = 0.25
    norm: Norm = "layernorm"
    final_norm: Norm | None
    positions: Literal["learned", "rope", "none"] = "learned"
    rope_base: Annotated[float, Field(gt=1)] = 10000.0
    qk_norm: bool = False
    tied_embeddings: bool
    biases: Annotated[tuple[Literal["ffn", "query-key", "value", "attention-output"], ...], Strict(False)]
    init_std: Annotated[float, Field(gt=0)] | Literal["fan"]
    embedding_std: Annotated[float, Field(gt=0)]
    depth_scaled: bool = False
    embedding_dropout: Annotated[float, Field(ge=0, lt=1)]

    @model_validator(mode="after")
    def _shapes_fit(self) -> "DecoderModel":
        if self.d_model % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide d_model ({self.d_model})")
        if self.positions == "rope" and self.d_model // self.heads % 2:
            raise ValueError(f"rope rotates pairs: d_model / heads ({self.d_model // self.heads}) must be even")
        if (self.width_multiple is None) == (self.ffn_width is None):
            raise ValueError("give either width_multiple or ffn_width")
        return self


class MixerModel(Record):
    """MLP-Mixer (Tolstikhin et al. 2021): an MLP over the patches and one over the channels in every layer.

    `token_activation` and `activation` are those of the token-mixing MLP (the paper's FFN1), of width `token_width`,
    and of the channel-mixing one (FFN2), of width k d with `width_multiple` k.
    """

    family: Literal["mixer"]
    d_model: Positive
    layers: Positive
    image: Positive
    patch: Positive
    token_width: Positive
    width_multiple: Positive
    token_activation: Literal["gelu", "relu"]
    activation: Literal["gelu", "relu"]
    norm: WeightedNorm

    @model_validator(mode="after")
    def _patches_tile_the_image(self) -> "MixerModel":
        if self.image % self.patch:
            raise ValueError(f"patch ({self.patch}) must divide image ({self.image})")
        return self


Model = Annotated[DecoderModel | MixerModel, Field(discriminator="family")]
