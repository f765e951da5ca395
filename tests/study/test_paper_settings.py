"""Every setting of the paper's scale, with the place that it is taken from.

P is the paper (ICLR 2026), R its authors' release (nerve-eigenspectrum/NerVE), D microsoft/dion at 0360f9b (September
2025, the last state before the paper), N NVIDIA/ngpt, M pixeli99/MixLN, L the LLaMA papers. "ours" is a choice that no
source makes; it changes no training.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nervelab.study.params import read_params

ROOT = Path(__file__).resolve().parents[2]
Source = dict[str, tuple[Any, str]]


def under(section: str, source: Source) -> Source:
    return {f"{section}.{key}": each for key, each in source.items()}


def at(place: str, **values: Any) -> Source:
    return {key: (value, place) for key, value in values.items()}


def adamw(section: str, **more: Any) -> Source:
    return under(section, {"name": ("adamw", "P 4"), "eps": (1e-8, "torch's default"), **more})


OPEN = "left open by the paper"
DECODER = at(
    "ours: a record of what is switched off",
    family="decoder",
    ffn_width=None,
    ffn_weights="free",
    mixln_post_share=0.25,  # P section 3.4: 3 of 12 layers
    rope_base=10000.0,  # N model.py, L: of rotary embeddings
)
MEASURE = under(
    "measure",
    {
        "source": ("batch", "R callback.py: the activations of the training batch"),
        "tokens": (None, "R callback.py"),
        "early": ((0,), "R callback.py logs its first step; ours is the network before it"),
        "every": (200, "P section 3.1"),
        "points": (None, "P section 3.1"),
        "mode": ("eval", "ours: R measures in train mode, see the study measuring-mode"),
        "chunk": (64, "ours: the size of a forward pass"),
        "by_position": (False, "P appendix J: an axis of the study token-positions"),
        "estimators": (("full",), "P appendix G: an axis of the study fidelity"),
    },
)
JUDGED = at("ours: how it is judged, not how it is trained", eval_tokens=1048576, stuck_margin=0.1)

CODEPARROT: Source = {
    "dataset": ("codeparrot", "R scripts/run_clm.py: huggingface-course/codeparrot-ds-train and -valid"),
    "tokenizer": ("code-search-net", "R scripts/run_clm.py: huggingface-course/code-search-net-tokenizer"),
    "optimiser": ("adamw", "R configs/train/train.yaml: optim"),
    **under(
        "model",
        DECODER
        | at("R configs/model/default.yaml", d_model=768, layers=12, heads=12, context=128, width_multiple=4)
        | at("R configs/model/default.yaml", activation="gelu", placement="preln", norm="layernorm", init_std=0.02)
        | at("R configs/model/default.yaml: initializer_range, of embeddings too", embedding_std=0.02)
        | at("R models/gpt2.py: the last norm of GPT2Model is kept in every variant", final_norm="layernorm")
        | at("transformers' GPT2Config, which R starts from", tied_embeddings=True, positions="learned", qk_norm=False)
        | at("transformers' GPT2Config, which R starts from: embd_pdrop", embedding_dropout=0.1)
        | at("R models/gpt2.py: MyConv1D without bias but for queries and keys", biases=("query-key",))
        | at("R models/gpt2.py: every map is drawn with the same deviation", depth_scaled=False),
    ),
    **under(
        "training",
        JUDGED
        | at("P section 4", steps=41000)
        | at("R configs/train/train.yaml: 128 x 4", batch=512)
        | at("R scripts/run_clm.py: return_overflowing_tokens, length == context_length", windows="chunks")
        | at("R configs/train/train.yaml: warmup_ratio", warmup=0.05)
        | at("R configs/train/train.yaml: polynomial, of power 1", decay="linear", decay_share=1.0, final_lr=0.0)
        | at("R configs/train/train.yaml: max_grad_norm", clip=1.0)
        | at("R scripts/run_clm.py: fp16", precision="float16")
        | at("of images alone", augmentation=()),
    ),
    **adamw(
        "optimisers.adamw",
        lr=(1e-3, "R configs/train/train.yaml"),
        betas=((0.9, 0.999), "transformers' TrainingArguments, which R leaves as they are"),
        weight_decay=(0.1, "R configs/train/train.yaml"),
        decay=(
            ("matrix", "embedding", "rmsnorm", "slope", "vector"),
            "R trainer.py: all but the parameters of nn.LayerNorm and what is called bias or gain",
        ),
        head_lr=(None, "R: one rate"),
    ),
    **under(
        "optimisers.adafactor",
        at(
            OPEN + "; torch's own",
            name="adafactor",
            lr=0.01,
            beta2_decay=-0.8,
            eps=(None, 1e-3),
            clip=1.0,
            weight_decay=0.0,
            decay=(),
        ),
    ),
    **MEASURE,
}

OPENWEBTEXT: Source = {
    "dataset": ("openwebtext", "P section 3.6"),
    "tokenizer": ("gpt2", "N data preparation"),
    "optimiser": ("adamw", "N model.py: configure_optimizers"),
    **under(
        "model",
        DECODER
        | at("N train.py", d_model=1024, layers=12, heads=16, init_std=0.02, embedding_std=0.02)
        | at("P section 3.6", context=512)
        | at("N model.py", width_multiple=4, activation="swiglu", placement="preln", norm="rmsnorm")
        | at("N model.py", final_norm="rmsnorm", positions="rope", qk_norm=False, tied_embeddings=False, biases=())
        | at("N model.py: c_proj.weight / sqrt(2 n_layer)", depth_scaled=True)
        | at("N train.py: dropout", embedding_dropout=0.0),
    ),
    **under(
        "training",
        JUDGED
        | at("P section 3.6: 26B tokens over 512 x 512", steps=99200)
        | at("N train.py: 8 x 64", batch=512)
        | at("N train.py: get_batch", windows="crops")
        | at("N train.py: warmup_iters 2000", warmup=0.02016)
        | at("N train.py: get_lr", decay="cosine", decay_share=1.0, final_lr=0.0)
        | at("N train.py: grad_clip", clip=1.0)
        | at("N train.py: dtype", precision="bfloat16")
        | at("of images alone", augmentation=()),
    ),
    **adamw(
        "optimisers.adamw",
        lr=(1.5e-3, "N train.py"),
        betas=((0.9, 0.95), "N train.py"),
        weight_decay=(0.1, "N train.py"),
        decay=(("matrix", "embedding", "head"), "N model.py: parameters of two dimensions and more"),
        head_lr=(None, "N: one rate"),
    ),
    **MEASURE,
}

REST = adamw(
    "rest",
    lr=(0.02, "D train.py: embedding_params at the base rate"),
    head_lr=("by-width", "D train.py: lm_head_params at lr / sqrt(model_dim)"),
    betas=((0.9, 0.95), "D dion.py and muon.py: beta1 and beta2; what train.py states as betas is not read"),
    weight_decay=(0.0, "D train.py: none on embedding and head"),
    decay=((), "D train.py"),
)
FINEWEB: Source = {
    "dataset": ("fineweb", "P section 3.7"),
    "tokenizer": ("gpt2", "D data/fineweb.py"),
    "optimiser": ("adamw", "P section 3.7: the baseline"),
    **under(
        "model",
        DECODER
        | at("D configs/dion_160m.yaml", d_model=768, layers=12, heads=6)
        | at("P section 3.7", context=512)
        | at("D gpt_model.py", width_multiple=4, activation="squared-relu", placement="preln", positions="rope")
        | at("D gpt_model.py: F.rms_norm", norm="weightless-rmsnorm", final_norm="weightless-rmsnorm", qk_norm=True)
        | at("D gpt_model.py: lm_head, no bias, no dropout", tied_embeddings=False, biases=(), embedding_dropout=0.0)
        | at("D gpt_model.py: _init_weights", init_std="fan", embedding_std=1.0, depth_scaled=False),
    ),
    **under(
        "training",
        JUDGED
        | at("D configs/dion_160m.yaml", steps=3000, batch=1024, warmup=0.0, decay_share=0.2)
        | at("D train.py: get_lr", decay="linear", final_lr=0.0, clip=None)
        | at("D train.py: a stream of tokens", windows="crops")
        | at("D train.py: bfloat16 autocast", precision="bfloat16")
        | at("of images alone", augmentation=()),
    ),
    **adamw(
        "optimisers.adamw",
        lr=(3e-3, OPEN + "; swept by the study tune"),
        betas=((0.9, 0.95), "D train.py: adamw"),
        weight_decay=(0.01, "D configs/dion_160m.yaml"),
        decay=(("matrix",), "D train.py"),
        head_lr=(None, "D train.py: under AdamW all groups at the base rate"),
    ),
    **under(
        "optimisers.muon",
        at("D configs/muon_160m.yaml", name="muon", lr=0.02, momentum=0.95, weight_decay=0.01)
        | at("D train.py", nesterov=True)
        | at("D muon.py", ns_steps=5)
        | at("D configs/muon_160m.yaml: spectral_norm", adjust_lr_fn="spectral_unclamped")
        | REST,
    ),
    **under(
        "optimisers.dion",
        at("D configs/dion_cqr_160m.yaml", name="dion", lr=0.02, mu=0.95, weight_decay=0.01)
        | at("D configs/dion_cqr_160m.yaml; dion_160m.yaml has 0.125: see the study left-open", rank_fraction=0.5)
        | at("D dion.py", eps=1e-8)
        | REST,
    ),
    **MEASURE,
}
FINEWEB_350M = (
    FINEWEB
    | under("model", at("P section 3.7, L.1", d_model=1024, layers=24, heads=16))
    | under("training", at("P Figure 8", steps=3800))
)

LLAMA_71M: Source = {
    "dataset": ("c4", "M torchrun_main.py"),
    "tokenizer": ("t5", "M torchrun_main.py: t5-base"),
    "optimiser": ("adam", "M scripts/run_71m.sh"),
    **under(
        "model",
        DECODER
        | at("M configs/llama_71m.json", d_model=512, layers=12, heads=8, ffn_width=1368, width_multiple=None)
        | at("M torchrun_main.py: max_length", context=256)
        | at("M modeling_llama.py", activation="swiglu", placement="preln", norm="rmsnorm", final_norm="rmsnorm")
        | at("M modeling_llama.py", positions="rope", qk_norm=False, tied_embeddings=False, biases=())
        | at("M configs/llama_71m.json: initializer_range", init_std=0.02, embedding_std=0.02)
        | at("M modeling_llama.py: is_scaled_layer under scale_pre alone", depth_scaled=False)
        | at("M: none", embedding_dropout=0.0),
    ),
    **under(
        "training",
        JUDGED
        | at("M scripts/run_71m.sh", steps=10000, batch=512, warmup=0.1, clip=None, precision="bfloat16")
        | at("M torchrun_main.py: a document is a sequence, padded", windows="documents")
        | at("M torchrun_main.py: cosine, min_lr_ratio", decay="cosine", decay_share=1.0, final_lr=0.1)
        | at("of images alone", augmentation=()),
    ),
    **under(
        "optimisers.adam",
        at("M scripts/run_71m.sh", name="adam", lr=1e-3, weight_decay=0.0, decay=())
        | at("torch's defaults, which M leaves as they are", betas=(0.9, 0.999), eps=1e-8),
    ),
    **MEASURE,
}
LLAMA_130M = (
    LLAMA_71M
    | under("model", at("M configs/llama_130m.json", d_model=768, ffn_width=2048, heads=12))
    | under("training", at("M scripts/run_130m.sh", steps=20000))
)
LLAMA_250M = (
    LLAMA_130M
    | under("model", at("M configs/llama_250m.json", ffn_width=2560, layers=24, heads=16))
    | under("training", at("P C.1: 2.2B tokens, where M scripts/run_250m.sh has 40000", steps=20000))
)
LLAMA_1_3B = (
    LLAMA_130M
    | under("model", at("M configs/llama_1b.json", d_model=2048, ffn_width=5461, layers=24, heads=32))
    | under("training", at("M scripts/run_1b.sh: 1000 steps, of the paper's 20000", warmup=0.05))
    | under("optimisers.adam", at("M scripts/run_1b.sh", lr=5e-4))
)

ALL_DECAY = ("matrix", "bias", "layernorm", "rmsnorm", "slope", "vector", "head")
MIXER: Source = {
    "dataset": ("cifar-100", "P appendix I"),
    "tokenizer": (None, "of text alone"),
    "optimiser": ("adam", "P appendix I"),
    **under(
        "model",
        at("P appendix I", family="mixer", d_model=768, layers=12, image=32, patch=4, token_width=384)
        | at("P appendix I", width_multiple=4, token_activation="gelu", activation="gelu", norm="layernorm"),
    ),
    **under(
        "training",
        at("P appendix I: 120 epochs", steps=46800)
        | at("P appendix I", batch=128, augmentation=("autoaugment", "cutmix"))
        | at("P appendix I: 5 epochs, cosine", warmup=0.041667, decay="cosine", decay_share=1.0, final_lr=0.0)
        | at("P appendix I: names none", clip=None, precision="float32")
        | at("of text alone", windows="crops")
        | at("ours: how it is judged, not how it is trained", eval_tokens=None, stuck_margin=0.1),
    ),
    **under(
        "optimisers.adam",
        at("P appendix I", name="adam", lr=1e-3, weight_decay=5e-5)
        | at("torch's defaults", betas=(0.9, 0.999), eps=1e-8, decay=ALL_DECAY),
    ),
    **under(
        "optimisers.sgd",
        at("P L.3", name="sgd", lr=0.05, momentum=0.9, weight_decay=1e-4) | at("torch's default", decay=ALL_DECAY),
    ),
    **MEASURE,
    **under(
        "measure",
        at("P appendix I: over the whole training set", source="training-set", chunk=512)
        | at("P Figure 22: epochs 1, 10, 20, 40, 80 and 120", early=(0, 390, 3900, 7800, 15600, 31200))
        | at("P Figure 22: epochs 1, 10, 20, 40, 80 and 120", every=None, points=1)
        | at("P appendix J", by_position=True),
    ),
}

SOURCES = {
    "gpt2-codeparrot": CODEPARROT,
    "gpt2-openwebtext": OPENWEBTEXT,
    "gpt2-160m-fineweb": FINEWEB,
    "gpt2-160m-fineweb-long": FINEWEB | under("model", at("P section 3.7", context=1024)),
    "gpt2-350m-fineweb": FINEWEB_350M,
    "llama-71m": LLAMA_71M,
    "llama-130m": LLAMA_130M,
    "llama-250m": LLAMA_250M,
    "llama-1.3b": LLAMA_1_3B,
    "mixer-cifar100": MIXER,
}


def flat(content: dict[str, Any], above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in content.items():
        found |= flat(value, f"{above}{key}.") if isinstance(value, dict) else {f"{above}{key}": value}
    return found


def test_every_base_of_the_papers_scale_has_its_sources():
    bases = read_params(ROOT / "params.yaml").bases
    assert {name for name, scales in bases.items() if "paper" in scales} == SOURCES.keys()


@pytest.mark.parametrize("base", SOURCES)
def test_every_setting_of_the_papers_scale_is_that_of_its_source(base: str):
    content = flat(read_params(ROOT / "params.yaml").bases[base]["paper"].model_dump(exclude={"sibling"}))
    assert content == {key: value for key, (value, _) in SOURCES[base].items()}
