"""The metrics as readers meet them: names, units, digits. Columns, headings and effects follow from this table."""

from __future__ import annotations

from dataclasses import dataclass

SITES = ("pre", "post")
"""Before the nonlinearity, and after it."""


@dataclass(frozen=True)
class Metric:
    """A metric of the spectra at an FFN.

    Attributes:
        id: what its columns in spectra.parquet begin with.
        name: in full.
        short: in headings.
        unit: empty where it has none.
        digits: that are shown of it beside other models; differences between two measurements get one more.
        sites: at which it is measured; of none, it compares the two.
        by_ratio: whether two of its values are compared by their ratio, or by their difference.
        significant: whether `digits` counts significant digits, as for numbers of different sizes.
    """

    id: str
    name: str
    short: str
    unit: str
    digits: int
    sites: tuple[str, ...] = SITES
    by_ratio: bool = False
    significant: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Its columns in spectra.parquet."""
        return tuple(f"{self.id}_{site}" for site in self.sites) or (self.id,)

    @property
    def effect(self) -> str:
        """What the nonlinearity does to it, in words."""
        return f"{self.short} gain (post / pre)" if self.by_ratio else f"{self.short}, post minus pre"

    @property
    def effect_unit(self) -> str:
        """The unit of that effect."""
        return "" if self.by_ratio else self.unit


JS = Metric("js", "Jensen-Shannon divergence", "JS", "nats", 3, sites=(), by_ratio=True, significant=True)
SPECTRAL = {
    metric.id: metric
    for metric in (
        Metric("se", "spectral entropy", "SE", "nats", 2),
        Metric("pr", "participation ratio", "PR", "dimensions", 1, by_ratio=True),
        Metric("eee", "eigenvalue early enrichment", "EEE", "", 3),
    )
}
"""Those of one spectrum, by their id."""
METRICS = (*SPECTRAL.values(), JS)
COLUMNS = {column: metric for metric in METRICS for column in metric.columns}
"""The metric of each column of spectra.parquet that is measured; what is computed of two columns is not among them."""


def heading(column: str) -> str:
    """A column as a heading, as in "SE_pre" or "JS"."""
    metric = COLUMNS[column]
    return metric.short + column.removeprefix(metric.id)
