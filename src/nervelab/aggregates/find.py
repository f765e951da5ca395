"""The aggregated tables, and the one way to find a run in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from nervelab.aggregates.run import ALL, FULL, Run
from nervelab.aggregates.verified import read_table
from nervelab.files import canonical_json
from nervelab.paper.architectures import BASELINE, WIDTHS, Model
from nervelab.probefiles import PROBES
from nervelab.statistics.blocks import Draws
from nervelab.study.decisions import Analysis

LONG = "long"
"""The recipe of the core: what findings are decided by unless they say otherwise."""
SHORT_RECIPE = {"recipe": "short"}
"""What a lookup says of the runs that all widths and most variants have: those of the short recipe."""
_FILES = ("runs.parquet", "spectra.parquet", "history.parquet")
SEEDS = "Of several seeds of one run the lowest-numbered is shown."
"""What `Aggregates.find` takes, said to readers."""


@dataclass(frozen=True)
class Aggregates:
    """All runs of one scale, and how findings about them are decided.

    `recipe` is that of the runs over the baseline's base, unless a lookup says otherwise; `probes` are the rows of
    probes.parquet, None where nothing was probed.
    """

    runs: pl.DataFrame
    spectra: pl.DataFrame
    history: pl.DataFrame
    settings: Analysis
    recipe: str = LONG
    probes: pl.DataFrame | None = None

    @classmethod
    def read(cls, folder: Path, settings: Analysis) -> Aggregates:
        """Read the tables that `aggregate` wrote.

        Raises:
            NervelabError: one of them is missing or damaged.
        """
        return cls.of({file: read_table(folder / file) for file in (*_FILES, PROBES)}, settings)

    @classmethod
    def of(cls, tables: Mapping[str, pl.DataFrame], settings: Analysis) -> Aggregates:
        """The tables by the names of their files, as `aggregate.gather` makes them."""
        return cls(*(tables[file] for file in _FILES), settings, probes=tables.get(PROBES))

    @property
    def confidence(self) -> float:
        """The level of intervals."""
        return self.settings.confidence

    @property
    def draws(self) -> Draws:
        """The resamples of a bootstrap."""
        return Draws(self.settings.bootstrap, self.settings.seed)

    @property
    def scale(self) -> str:
        """The scale that all of these runs were trained at."""
        return self.runs["scale"][0]

    def find(self, **settings: Any) -> Run | None:
        """The run with these settings, of several seeds the lowest (see `find_seeds`); None if there is none."""
        return next(iter(self.find_seeds(**settings)), None)

    def find_seeds(self, **settings: Any) -> tuple[Run, ...]:
        """The runs with these settings, otherwise the `BASELINE`, one for each seed, the lowest first.

        Where another `base` is named, what is not named is as in that base. Runs that differ from their base in a
        setting that nothing here names are not considered: a run at another rate does not stand in for the base's.
        `recipe` is one of those that the run was trained by.

        Raises:
            ValueError: several runs of one seed match, or `BASELINE` names what is not among the columns: a defect.
        """
        own = settings.get("base", BASELINE["base"]) == BASELINE["base"]
        wanted = BASELINE | {"recipe": self.recipe} | settings if own else dict(settings)
        unknown = set(wanted) - {*self.runs.columns, "recipe"}
        if unknown & set(BASELINE):
            raise ValueError(f"runs.parquet lacks the setting {', '.join(sorted(unknown))}, which the baseline names")
        if unknown:
            return ()
        recipe = wanted.pop("recipe", None)
        matching = self.runs.filter(pl.all_horizontal(True, *(pl.col(name) == each for name, each in wanted.items())))
        if recipe is not None:
            matching = matching.filter(pl.col("recipes").list.contains(recipe))
        rows = [row for row in matching.iter_rows(named=True) if set(row["off_base"]) <= {*wanted, "seed"}]
        by_seed = {row["seed"]: row for row in rows}
        if len(by_seed) < len(rows):
            raise ValueError(f"several runs of one seed match {wanted}: {[row['name'] for row in rows]}")
        return tuple(self._run(by_seed[seed]) for seed in sorted(by_seed))

    def by(self, recipe: str) -> Aggregates:
        """The same runs, of which lookups that name no recipe find those of another."""
        return replace(self, recipe=recipe)

    def all_runs(self) -> list[Run]:
        """Every run, in the order of the study."""
        return [self._run(row) for row in self.runs.iter_rows(named=True)]

    def siblings(self) -> list[Run]:
        """The runs over the baseline's base, in the order of the study."""
        return [run for run in self.all_runs() if run.row["base"] == BASELINE["base"]]

    def under(self, run: Run, estimator: str) -> Run:
        """The same run with the spectra of another estimator."""
        rows = self.spectra.filter(pl.col("name") == run.row["name"], estimator=estimator, group=ALL)
        return replace(run, spectra=rows)

    def replicates(self, recipe: str | None = None, **settings: Any) -> list[tuple[Run, ...]]:
        """The runs by a recipe with these settings, grouped by everything but their seed, in the order of the study."""
        groups: dict[str, list[Run]] = {}
        for run in self.all_runs():
            if any(run.row[key] != value for key, value in settings.items()):
                continue
            if recipe is not None and recipe not in run.row["recipes"]:
                continue
            config = {key: value for key, value in run.config.items() if key != "seed"}
            groups.setdefault(canonical_json(config), []).append(run)
        return [tuple(runs) for runs in groups.values()]

    def _run(self, row: dict[str, Any]) -> Run:
        if row["name"] in self._found:
            return self._found[row["name"]]
        unmeasured = pl.DataFrame(schema=self.spectra.schema)
        spectra = self._spectra_by_name.get(row["name"], unmeasured)
        history = self.history.filter(pl.col("name") == row["name"])
        run = Run(row, spectra, history, self.settings.window_start, self._probes_by_name.get(row["name"]))
        return self._found.setdefault(row["name"], run)

    @cached_property
    def _found(self) -> dict[str, Run]:
        """The runs that were asked for before: their grids need not be made again."""
        return {}

    @cached_property
    def _probes_by_name(self) -> dict[str, pl.DataFrame]:
        """The probes of each run; of one that was not probed there are none."""
        if self.probes is None:
            return {}
        return {name: part for (name,), part in self.probes.partition_by("name", as_dict=True).items()}

    @cached_property
    def _spectra_by_name(self) -> dict[str, pl.DataFrame]:
        whole = self.spectra.filter((pl.col("group") == ALL) & (pl.col("estimator") == FULL))
        return {name: part for (name,), part in whole.partition_by("name", as_dict=True).items()}


def over_widths(aggregates: Aggregates, model: Model) -> tuple[Run | None, ...]:
    """The runs of a model at `WIDTHS` by the short recipe, the lowest seed of each; None where this scale has none."""
    return tuple(aggregates.find(**model, width_multiple=width, **SHORT_RECIPE) for width in WIDTHS)
