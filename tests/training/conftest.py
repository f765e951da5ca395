"""A folder of tokens for the plan of a short run, made without Snakemake."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.tokens import write_tokens


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    """Tokens of a Markov chain: something to learn, far below its unigram loss."""
    return write_tokens(tmp_path / "data" / "tokens" / "0123456789")
