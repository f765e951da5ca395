"""For every finding, the formulas by which made-up runs turn its claim around or lose it in noise."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tests.support.made_up_runs import (
    COMPENSATING,
    Estimate,
    Loss,
    MadeUp,
    Spectrum,
    behaving,
    paper_estimate,
    paper_loss,
    paper_spectrum,
)

GELU, RELU = ("preln", "gelu"), ("preln", "relu")
BARE_GELU, BARE_RELU, BARE_LEAKY = (("none", each) for each in ("gelu", *COMPENSATING))
MIXED, POSTLN = ("mixln", "gelu"), ("postln", "gelu")


Formulas = tuple[Spectrum, Loss] | tuple[Spectrum, Loss, Estimate]


@dataclass(frozen=True)
class Case:
    """How runs must be changed for a finding to turn into its reverse, or to be lost in noise, and whom it needs."""

    reverse: Formulas
    noise: Formulas
    needs: tuple[str, str]
    width: int = 4


def changed(change: Callable[[MadeUp, dict[str, np.ndarray]], dict[str, np.ndarray]]) -> tuple[Spectrum, Loss]:
    """The paper's formulas with some of the metrics replaced."""

    def spectrum(run, share_S1, layer_L):
        metrics = paper_spectrum(run, share_S1, layer_L)
        return metrics | change(run, metrics)

    return spectrum, paper_loss


def swapped(*metrics: str, where: Callable[[MadeUp], object] = bool) -> tuple[Spectrum, Loss]:
    """Pre and post exchanged."""
    ends = {"pre": "post", "post": "pre"}

    def change(run, known):
        pairs = ((f"{metric}_{site}", f"{metric}_{ends[site]}") for metric in metrics for site in ends)
        return {name: known[other] for name, other in pairs} if where(run) else {}

    return changed(change)


def no_effect(metric: str) -> tuple[Spectrum, Loss]:
    """Post is pre but for a disturbance that differs from step to step, the same in all layers."""

    def change(run, known):
        pre = known[f"{metric}_pre"]
        return {f"{metric}_post": pre * (1 + 0.02 * run.draw("step", size=(len(pre), 1)))}

    return changed(change)


def scattered(metrics: tuple[str, ...], by: float, where: Callable[[MadeUp], object] = bool) -> tuple[Spectrum, Loss]:
    """Metrics multiplied by a number that each run draws."""

    def change(run, known):
        return {each: known[each] * np.exp(by * run.draw("scatter", each)) for each in metrics} if where(run) else {}

    return changed(change)


def backwards(run, share_S1, layer_L):
    """What the spectra do over training, from the end to the start."""
    return paper_spectrum(run, 1 - share_S1, layer_L)


def blurred(site: str, by: float) -> tuple[Spectrum, Loss]:
    """SE and PR so disturbed from step to step that their correlations over steps differ from run to run."""

    def change(run, known):
        names = [f"{metric}_{site}" for metric in ("se", "pr")]
        steps = (len(known["se_pre"]), 1)
        return {each: known[each] + by * known[each].std() * run.draw("blur", each, size=steps) for each in names}

    return changed(change)


def compensating(run: MadeUp) -> bool:
    return run.kind == "compensating"


def barely_localised(run, known):
    """JS alike in all layers but for what a seed draws, for the two halves of training apart."""
    late_S1 = np.arange(len(known["js"]))[:, None] > len(known["js"]) * 0.58
    early_L, late_L = 0.1 * np.exp(0.2 * run.draw("bands", size=(2, run.layers)))
    return {"js": np.where(late_S1, late_L, early_L)}


def wandering(run, known):
    """The layer with the largest JS is another in the second half of training."""
    late_S1 = (np.arange(len(known["js"])) > len(known["js"]) * 0.58)[:, None]
    first_L = np.where(np.arange(run.layers) == 0, 0.2, 0.1)
    return {"js": np.where(late_S1, np.where(np.arange(run.layers) == 0, 0.05, 0.1), first_L)}


def falling_somewhere(run, known):
    """PR falls in the first quarter of layers of every model."""
    return {"pr_post": np.where(np.arange(run.layers) < run.layers / 4, known["pr_pre"] / 2, known["pr_post"])}


def falling_rarely(run, known):
    """PR falls in the first layer of one width: too few layers to be told from 5 %."""
    falling = (np.arange(run.layers) == 0) & (run.width_multiple == 7) & (run.placement != "postln")
    return {"pr_post": np.where(falling, known["pr_pre"] / 2, known["pr_post"])}


def bare_gelu(run: MadeUp) -> bool:
    return run.kind == "inert"


def early_alike(run, known):
    """Norm-free GELU's JS, PR gain and EEE_post, alike over layers and PreLN GELU's but for what its seed draws."""
    if run.activation != "gelu" or run.placement not in ("preln", "none"):
        return {}
    ones = np.ones_like(known["js"])
    return {
        "js": 0.1 * ones * np.exp(0.1 * run.draw("js", size=(run.layers,))),
        "pr_pre": known["pr_post"] / np.exp(0.1 * run.draw("gain", size=(run.layers,))) / 1.5,
        "eee_post": 0.8 * ones + 0.01 * run.draw("eee", size=(run.layers,)),
    }


def late_first(run, known):
    """Norm-free GELU from its last layer to its first, and its early layers less inert than those of PreLN GELU."""
    if not bare_gelu(run):
        return {}
    early = np.arange(run.layers) < run.layers / 2
    return {
        "js": np.where(early, 0.5, 0.004) + 0 * known["js"],
        "pr_pre": known["pr_post"] / np.where(early, 4, 1.02),
        "eee_post": np.where(early, 0.5, 0.95) + 0 * known["js"],
    }


def barely_inert(run, known):
    return {"eee_pre": np.full_like(known["eee_pre"], 0.95 + 0.005 * run.draw("inert"))}


def nowhere_near(run, known):
    ones = np.ones_like(known["js"])
    return {"eee_pre": 0.8 * ones, "eee_post": 0.7 * ones, "js": 0.2 * ones, "pr_pre": known["pr_post"] / 2}


def barely_compensating(run, known):
    gain = 2 * np.exp(0.2 * run.draw("gain"))
    return {"pr_pre": known["pr_post"] / gain} if compensating(run) else {}


def not_compensating(run, known):
    """A gain of one half in the first two layers, where JS is the smallest."""
    first_two = np.arange(run.layers) < 2
    gain_L, js_L = np.where(first_two, 0.5, 2), np.where(first_two, 0.02, 0.3)
    return {"pr_pre": known["pr_post"] / gain_L, "js": js_L + 0 * known["js"]} if compensating(run) else {}


def level_of(metric, level, by):
    """A metric at a level, but for what each run draws."""
    return lambda run, known: {metric: np.full_like(known[metric], level + by * run.draw("level"))}


def widths_scattered(run, share_S1, layer_L):
    """SE_post and PR_post of compensating models follow width only roughly."""
    known = paper_spectrum(run, share_S1, layer_L)
    if not compensating(run):
        return known
    by = {"se_post": 0.2, "pr_post": 0.8}
    return known | {name: known[name] * np.exp(size * run.draw("widths", name)) for name, size in by.items()}


def exponents_scattered(run, known):
    """PR_post follows width so roughly that no exponent can be told."""
    return {"pr_post": known["pr_post"] * np.exp(1.0 * run.draw("exponent"))}


def settling_alike(run, known):
    """SE_post of every model nears its end at a speed that its seed draws."""
    rest = np.linspace(1, 0, len(known["se_post"]))[:, None]
    return {"se_post": 3 - 0.6 * rest ** (4 * np.exp(0.4 * run.draw("speed"))) + 0 * known["se_post"]}


def shuffled(run, known):
    return {name: known[name] * np.exp(0.5 * run.draw(name)) for name in ("se_pre", "se_post", "pr_pre", "pr_post")}


def inverted(run, known):
    return {name: 100 / known[name] for name in ("se_pre", "se_post", "pr_pre", "pr_post")}


def estimated(estimate: Estimate) -> Formulas:
    """The paper's formulas, seen by other estimators."""
    return paper_spectrum, paper_loss, estimate


def exchanged(run, estimator, known):
    """Low rank is what samples are, and they what low rank is."""
    return paper_estimate(run, "randsvd-1/6" if estimator.startswith("sampling") else "sampling-0.10", known)


def alike(run, estimator, known):
    """All estimators disturbed alike, each on its own."""
    return {
        name: values * (1 + 0.05 * run.draw(estimator, name, size=(len(values), 1))) for name, values in known.items()
    }


def faithful(run, estimator, known):
    """Samples that disturb the spectra before the nonlinearity and keep those after it."""
    return {name: values[::-1] if name.endswith("pre") else values for name, values in known.items()}


def blurred_samples(run, estimator, known):
    """SE and PR so disturbed from step to step that whether a correlation is kept cannot be told."""
    names = [f"{metric}_{site}" for metric in ("se", "pr") for site in ("pre", "post")]
    size = (len(known["se_pre"]), 1)
    return known | {
        name: known[name] + 0.5 * known[name].std() * run.draw(estimator, name, size=size) for name in names
    }


CASES = {
    "reinjection-se": Case(swapped("se"), no_effect("se"), RELU),
    "reinjection-pr": Case(swapped("pr"), no_effect("pr"), RELU),
    "flattening-eee": Case(swapped("eee"), no_effect("eee"), RELU),
    "pr-every-layer": Case(changed(falling_somewhere), changed(falling_rarely), ("preln", "swiglu"), 3),
    "js-bands": Case(changed(wandering), changed(barely_localised), RELU),
    "js-fading": Case(changed(lambda run, known: {"js": known["js"][:, ::-1]}), changed(barely_localised), RELU),
    "gelu-broader": Case(behaving({GELU: RELU, RELU: GELU}), behaving({RELU: GELU}), RELU),
    "relu-earlier": Case(behaving({GELU: RELU, RELU: GELU}), changed(settling_alike), RELU),
    "gelu-better": Case(behaving({GELU: RELU, RELU: GELU}), behaving({RELU: GELU}), RELU),
    "normfree-inertia": Case(changed(late_first), changed(early_alike), BARE_GELU),
    "normfree-inertia-levels": Case(changed(nowhere_near), changed(barely_inert), BARE_GELU),
    "normfree-compensation": Case(changed(not_compensating), changed(barely_compensating), BARE_LEAKY),
    "normfree-eee-level": Case(
        changed(level_of("eee_post", 0.8, 0.0)), changed(level_of("eee_post", 0.5, 0.05)), BARE_LEAKY
    ),
    "normfree-gap": Case(behaving({BARE_GELU: GELU, GELU: BARE_GELU}), behaving({BARE_GELU: BARE_LEAKY}), BARE_LEAKY),
    "return-on-width": Case(behaving({GELU: POSTLN, POSTLN: GELU}), scattered(("pr_post",), by=0.8), MIXED, width=7),
    "width-exponents": Case(behaving({GELU: POSTLN, POSTLN: GELU}), changed(exponents_scattered), POSTLN, width=7),
    "width-layer-spread": Case(
        behaving({MIXED: GELU, GELU: MIXED, POSTLN: MIXED}), behaving({GELU: MIXED, POSTLN: MIXED}), MIXED, width=7
    ),
    "placement-ppl": Case(behaving({GELU: POSTLN, POSTLN: GELU}), behaving({MIXED: GELU}), MIXED),
    "r-checkpoints-pre": Case((backwards, paper_loss), blurred("pre", 0.4), GELU, width=7),
    "r-checkpoints-post": Case((backwards, paper_loss), blurred("post", 0.4), GELU, width=1),
    "r-configurations": Case(changed(inverted), changed(shuffled), ("preln", "swiglu"), 3),
    "r-inversion": Case(swapped("se", "pr", where=compensating), (widths_scattered, paper_loss), BARE_LEAKY, width=8),
    "early-ranking": Case(changed(inverted), scattered(("pr_post",), by=0.6), GELU),
    "sampling-fidelity": Case(estimated(exchanged), estimated(alike), GELU),
    "sampling-diagnostic": Case(estimated(faithful), estimated(blurred_samples), GELU),
}
