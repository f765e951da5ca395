"""For every finding, the formulas by which made-up runs turn its claim around or lose it in noise."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tests.support.made_up_runs import (
    COMPENSATING,
    LAYERS,
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
    js = np.array([0.2, 0.1, 0.1, 0.09])
    return {"js": np.broadcast_to(js * np.exp(0.2 * run.draw("bands", size=(LAYERS,))), known["js"].shape)}


def barely_inert(run, known):
    return {"eee_pre": np.full_like(known["eee_pre"], 0.95 + 0.005 * run.draw("inert"))}


def barely_compensating(run, known):
    gain = 2 * np.exp(0.2 * run.draw("gain"))
    return {"pr_pre": known["pr_post"] / gain} if compensating(run) else {}


def widths_scattered(run, share_S1, layer_L):
    """SE_post and PR_post of compensating models follow width only roughly."""
    known = paper_spectrum(run, share_S1, layer_L)
    if not compensating(run):
        return known
    by = {"se_post": 0.2, "pr_post": 0.8}
    return known | {name: known[name] * np.exp(size * run.draw("widths", name)) for name, size in by.items()}


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
    return {name: values.mean() + 0 * values if name.endswith("pre") else values for name, values in known.items()} | {
        "se_pre": known["se_pre"][::-1]
    }


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
    "js-bands": Case(changed(lambda run, known: {"js": known["js"][:, ::-1]}), changed(barely_localised), RELU),
    "gelu-broader": Case(behaving({GELU: RELU, RELU: GELU}), behaving({RELU: GELU}), RELU),
    "relu-earlier": Case(behaving({GELU: RELU, RELU: GELU}), changed(settling_alike), RELU),
    "gelu-better": Case(behaving({GELU: RELU, RELU: GELU}), behaving({RELU: GELU}), RELU),
    "normfree-inertia": Case(behaving({BARE_GELU: GELU}), changed(barely_inert), BARE_GELU),
    "normfree-compensation": Case(behaving({BARE_RELU: BARE_GELU}), changed(barely_compensating), BARE_LEAKY),
    "normfree-gap": Case(behaving({BARE_GELU: GELU, GELU: BARE_GELU}), behaving({BARE_GELU: BARE_LEAKY}), BARE_LEAKY),
    "return-on-width": Case(behaving({GELU: POSTLN, POSTLN: GELU}), behaving({MIXED: GELU}), MIXED, width=7),
    "placement-ppl": Case(behaving({GELU: POSTLN, POSTLN: GELU}), behaving({MIXED: GELU}), MIXED),
    "r-checkpoints-pre": Case((backwards, paper_loss), blurred("pre", 0.4), GELU, width=7),
    "r-checkpoints-post": Case((backwards, paper_loss), blurred("post", 0.4), GELU, width=1),
    "r-configurations": Case(changed(inverted), changed(shuffled), ("preln", "swiglu"), 3),
    "r-inversion": Case(swapped("se", "pr", where=compensating), (widths_scattered, paper_loss), BARE_LEAKY, width=8),
    "early-ranking": Case(changed(inverted), scattered(("pr_post",), by=0.6), GELU),
    "sampling-fidelity": Case(estimated(exchanged), estimated(alike), GELU),
    "sampling-diagnostic": Case(estimated(faithful), estimated(blurred_samples), GELU),
}
