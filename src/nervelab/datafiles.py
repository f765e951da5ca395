"""The files of corpora and tokens. Apart from `layout`: a change here changes what writes them."""

SPLITS = ("train", "validation", "test")
MANIFEST = "manifest.json"  # written last: a folder that has it is complete
DOCUMENTS = "documents.parquet"
TOKENIZER = "tokenizer.json"

CORPUS_FILES = (DOCUMENTS, MANIFEST)
TOKENS_FILES = (*(f"{split}.bin" for split in SPLITS), TOKENIZER, MANIFEST)
