"""From a named source to batches: fetch and clean a corpus, tokenise it, serve batches."""
