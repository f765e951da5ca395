"""The numbers that captions and rules speak of, filled into their words."""

from __future__ import annotations

import json
from collections.abc import Iterable

import polars as pl

from nervelab.study.decisions import Analysis
from nervelab.words.numbers import THIN, thousands


def facts(runs: pl.DataFrame, settings: Analysis) -> dict[str, str]:
    """What may stand in braces in the words of a rule, a table or a figure.

    Args:
        runs: runs.parquet.
        settings: the `analysis:` section of params.yaml.

    Returns:
        window: the share of training steps from which on checkpoints count.
        confidence: the level of the intervals.
        probe_tokens, eval_tokens: on how many held-out tokens the eval loss of measured steps, and the final one, of
            language models is taken.
    """
    configs = [json.loads(config) for config in runs["config"]]
    configs = [config for config in configs if config["training"]["eval_tokens"]]
    # Without a probe (spectra of the training batch) the steps' eval loss is taken on as many tokens as the final one.
    probes = (config["measure"]["tokens"] or config["training"]["eval_tokens"] for config in configs)
    return {
        "confidence": f"{100 * settings.confidence:.3g}{THIN}%",
        "window": f"{100 * settings.window_start:.3g}{THIN}%",
        "probe_tokens": _counts(probes),
        "eval_tokens": _counts(config["training"]["eval_tokens"] for config in configs),
    }


def filled(text: str, known: dict[str, str]) -> str:
    """The text with its braces filled."""
    return text.format(**known)


def _counts(values: Iterable[int]) -> str:
    return " or ".join(map(thousands, sorted(set(values)))) or "no"
