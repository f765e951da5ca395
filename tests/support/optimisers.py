"""One record of each optimiser, at rates that suit a tiny model."""

from __future__ import annotations

from nervelab.study.config import SGD, Adafactor, Adam, AdamW, Dion, Muon, Optimiser

ADAMW = AdamW(name="adamw", lr=0.01, betas=(0.9, 0.95), eps=1e-6, weight_decay=0.1, decay=("matrix",))
REST = AdamW(name="adamw", lr=0.003, betas=(0.9, 0.99), eps=1e-7, weight_decay=0.2, decay=("embedding",))
RECORDS: dict[str, Optimiser] = {
    "adamw": ADAMW,
    "adam": Adam(name="adam", lr=0.01, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1, decay=("matrix",)),
    "sgd": SGD(name="sgd", lr=0.1, momentum=0.9, weight_decay=0.01, decay=("matrix",)),
    "adafactor": Adafactor(
        name="adafactor",
        lr=0.05,
        beta2_decay=-0.7,
        eps=(1e-4, 2e-3),
        clip=1.1,
        weight_decay=0.1,
        decay=("matrix",),
    ),
    "muon": Muon(
        name="muon",
        lr=0.02,
        momentum=0.95,
        nesterov=False,
        ns_steps=4,
        adjust_lr_fn="spectral_unclamped",
        weight_decay=0.1,
        rest=REST,
    ),
    "dion": Dion(name="dion", lr=0.02, mu=0.95, rank_fraction=0.5, eps=1e-7, weight_decay=0.1, rest=REST),
}
