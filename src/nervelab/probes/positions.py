"""Which tokens are measured, and to which group of positions each belongs (NerVE, App. J)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from nervelab.errors import NervelabError

UNMEASURED = -1
ALL = "all"


@dataclass(frozen=True)
class Positions:
    """Groups of tokens that are measured one by one, beside all of them together.

    Attributes:
        names: of the groups; empty if all that is measured is one group.
        label: gives for a batch an integer for each token in the order in which the FFNs see them: the index of its
            group (0 if there are none), or `UNMEASURED` for a token that is left out, like padding.

    Raises:
        NervelabError: two groups have one name, or one is named like all of them together.
    """

    names: tuple[str, ...]
    label: Callable[[Any], Tensor]

    def __post_init__(self) -> None:
        if len({ALL, *self.names}) <= len(self.names):
            raise NervelabError(
                f"two groups of positions have one name in {', '.join((ALL, *self.names))}: "
                f"name each differently, and none '{ALL}', which are all together."
            )


class Labels:
    """The labels of the batch that is being run, by which the rows that an FFN sees are told apart.

    Attributes:
        groups: the names of the groups, if there are any.
    """

    def __init__(self, positions: Positions | None) -> None:
        self.groups = positions.names if positions else ()
        self._positions = positions
        self._count: int | None = None
        # Rows by number or, without positions, all of them, of which a slice makes no copy.
        self._measured: Tensor | slice = slice(None)
        self._of_groups: list[Tensor | slice] = [slice(None)]

    def read(self, batch: Any) -> None:
        """Label the tokens of a batch, before the model is run on it.

        Raises:
            NervelabError: a label is neither that of a group nor `UNMEASURED`.
        """
        if self._positions is None:
            return
        labels_N = self._positions.label(batch).reshape(-1)
        number = len(self.groups) or 1
        strange = labels_N[(labels_N < UNMEASURED) | (labels_N >= number)]
        if len(strange):
            raise NervelabError(
                f"`positions` labels a token {strange[0].item()}: label the tokens from 0 to {number - 1}, "
                f"and with {UNMEASURED} those that are left out."
            )
        self._count = len(labels_N)
        self._measured = (labels_N != UNMEASURED).nonzero().squeeze(1)
        self._of_groups = [(labels_N == group).nonzero().squeeze(1) for group in range(number)]

    def together(self, site: str, x_ND: Tensor) -> Iterator[Tensor]:
        """One part: the rows that are measured, in order; without positions all of them, not copied.

        Raises:
            NervelabError: the FFN that `site` names saw more or fewer tokens than were labelled.
        """
        return self._parts(site, x_ND, [self._measured])

    def by_group(self, site: str, x_ND: Tensor) -> Iterator[Tensor]:
        """A part for each group, copied one after another; if there are no groups, one part as in `together`.

        Raises:
            NervelabError: as `together` does.
        """
        return self._parts(site, x_ND, self._of_groups)

    def _parts(self, site: str, x_ND: Tensor, rows_of: Sequence[Tensor | slice]) -> Iterator[Tensor]:
        if self._count not in (None, len(x_ND)):
            raise NervelabError(
                f"FFN '{site}' saw {len(x_ND)} tokens of a batch of which `positions` labels {self._count}: "
                "give each token one label, and pass as sites only the FFNs that see these tokens."
            )
        for rows in rows_of:
            yield x_ND[rows]
