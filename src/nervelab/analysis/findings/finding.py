"""What a finding is, and what is said about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from nervelab.analysis.aggregates import Aggregates
from nervelab.study.decisions import Analysis

Word = Literal["supported", "contradicted", "inconclusive", "not run"]


@dataclass(frozen=True)
class Effect:
    """One measured quantity that a verdict rests on.

    Attributes:
        of: the run or comparison it belongs to, in words.
        metric: what it is an effect on, in words.
        unit: empty for a number without a unit.
        state: the outcome of that run, in words.
        dataset: what it was trained on; None without a run, as everything below.
        run: its name.
        value: the effect in `unit`; None if there is none.
        low: lower end of its interval.
        high: upper end.
        relative: the effect divided by the mean of what it is an effect on.
        agreeing: share of the single observations that have the claimed sign.
        layers: the effect layer by layer.
        untrained: the effect at step 0, as a control; None where step 0 was not measured.
        n_checkpoints: checkpoints averaged over.
        n_layers: layers averaged over.
        n_seeds: seeds it rests on.
    """

    of: str
    metric: str
    unit: str
    state: str
    dataset: str | None = None
    run: str | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    relative: float | None = None
    agreeing: float | None = None
    layers: tuple[float, ...] = ()
    untrained: float | None = None
    n_checkpoints: int | None = None
    n_layers: int | None = None
    n_seeds: int | None = None


@dataclass(frozen=True)
class Verdict:
    """A word, why it was reached, and the effects behind it."""

    verdict: Word
    reason: str
    effects: tuple[Effect, ...]


@dataclass(frozen=True)
class Rule:
    """How findings of one kind are decided, in words that a reader can check against the numbers.

    Attributes:
        id: short, stable name.
        title: one line.
        section: where the paper makes these claims.
        text: the rule; may use the names of `words.facts` in braces, as may the caveat.
        caveat: what the numbers cannot tell apart; empty if nothing.
        revisions: every change of the rule after its first full run, in words.
    """

    id: str
    title: str
    section: str
    text: str
    caveat: str
    revisions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """A claim of the paper and what decides it.

    Attributes:
        id: short, stable name.
        claim: the claim, as a sentence.
        rule: the rule in words, shared by the findings it decides.
        decide: the rule as a function of the aggregates.
    """

    id: str
    claim: str
    rule: Rule
    decide: Callable[[Aggregates, Analysis], Verdict]
