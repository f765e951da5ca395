"""Texts to build small corpora of."""

import random

WORDS = (
    "def",
    "return self",
    "import",
    "lambda",
    "value",
    "index",
    "für",
    "naïve",
    "数",
    "(x):\n",
    "= 1\n\t",
)


def make_texts(count: int, *, words: int = 120, seed: int = 0) -> list[str]:
    """Distinct texts of `words` random words, with characters of one to three bytes."""
    chance = random.Random(seed)
    return [f"# {number}\n" + " ".join(chance.choices(WORDS, k=words)) for number in range(count)]
