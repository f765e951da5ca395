"""Estimators by name, as they stand in params.yaml and in the tables; imports no torch."""

import re
from dataclasses import dataclass
from fractions import Fraction

from nervelab.errors import NervelabError

EXAMPLES = (
    "full, auto, sampling-0.10, sampling-0.10-unbiased, sampling-0.25-richardson, randsvd-256, randsvd-1/12, "
    "randsvd-1/12-squared, randsvd-1/12-tail, lanczos-1/6, lanczos-1/6-tail, bkq-16x24"
)
_RANK = r"(?P<rank>[1-9]\d*)(/(?P<parts>[1-9]\d*))?"
_FORMS = {
    "full": r"",
    "auto": r"",
    "sampling": r"-(?P<ratio>0\.\d+)(-(?P<variant>unbiased|richardson))?",
    "randsvd": rf"-{_RANK}(-(?P<variant>squared|tail))?",
    "lanczos": rf"-{_RANK}(-(?P<variant>tail))?",
    "bkq": r"-(?P<block>[1-9]\d*)x(?P<steps>[1-9]\d*)",
}


@dataclass(frozen=True)
class Estimator:
    """One estimator and its settings; what it has no use for is at its default.

    Attributes:
        name: as it was written.
        kind: full, auto, sampling, randsvd, lanczos or bkq.
        ratio: the share of tokens of a sample.
        share: the rank as a share of D, or None.
        rank: the rank as a number, or None.
        variant: unbiased, richardson, squared, tail or ''.
        block, steps: of the block Krylov space.
    """

    name: str
    kind: str
    ratio: float = 1.0
    share: Fraction | None = None
    rank: int | None = None
    variant: str = ""
    block: int = 0
    steps: int = 0

    def rank_at(self, width: int) -> int:
        """The rank at width D, at least 1 and at most D."""
        wanted = round(self.share * width) if self.share is not None else self.rank
        return max(1, min(wanted, width))


def parse(name: str) -> Estimator:
    """The estimator of a name.

    Raises:
        NervelabError: no estimator has that name.
    """
    for kind, form in _FORMS.items():
        found = re.fullmatch(kind + form, name)
        if found is None:
            continue
        given = found.groupdict()
        parts, ratio = given.get("parts"), float(given.get("ratio") or 1)
        share = Fraction(int(given["rank"]), int(parts)) if parts else None
        if not ratio or (share is not None and share > 1):
            break
        return Estimator(
            name,
            kind,
            ratio=ratio,
            share=share,
            rank=int(given["rank"]) if given.get("rank") and not parts else None,
            variant=given.get("variant") or "",
            block=int(given.get("block") or 0),
            steps=int(given.get("steps") or 0),
        )
    raise NervelabError(f"'{name}' names no estimator: write one like {EXAMPLES}.")
