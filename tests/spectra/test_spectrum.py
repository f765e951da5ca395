"""What a Spectrum promises about its eigenvalues."""

import numpy as np
import pytest

from nervelab.spectra.spectrum import Spectrum


def test_it_owns_a_read_only_float64_copy() -> None:
    given = np.array([2, 1, 0], dtype=np.float32)
    spectrum = Spectrum(given, n_tokens=10, solver="hand")
    given[0] = 5
    assert spectrum.eigenvalues.tolist() == [2, 1, 0]
    assert spectrum.eigenvalues.dtype == np.float64
    assert (spectrum.width, spectrum.estimator) == (3, "full")
    with pytest.raises(ValueError, match="read-only"):
        spectrum.eigenvalues[0] = 1


@pytest.mark.parametrize("bad", [[1.0, 2.0], [1.0, -1.0], [np.inf, 1.0], [1.0, np.nan], [[2.0, 1.0]]])
def test_anything_but_a_descending_non_negative_row_is_refused(bad: list) -> None:
    with pytest.raises(ValueError, match="descending"):
        Spectrum(np.array(bad), n_tokens=10, solver="hand")
