"""Mistakes that one can make in params.yaml and config/, each with the words that its sentence has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

QUESTION, DATA, BASES = "params.yaml", "config/data.yaml", "config/bases.yaml"


@dataclass(frozen=True)
class Mistake:
    """A mistake in one of the project's files.

    Attributes:
        id: its name.
        wrong: what is wrong, in words.
        file: the file that is changed.
        old: the text that is replaced once, or None for the whole content of the file.
        new: what stands there instead, or None for a file that is not there.
        said: a regular expression that the sentence matches after the name of the file.
    """

    id: str
    wrong: str
    file: str
    old: str | None
    new: str | bytes | None
    said: str

    def make(self, folder: Path) -> None:
        """Make the mistake in the copies of the files in `folder`."""
        path = folder / self.file
        if self.new is None:
            path.unlink()
        elif self.old is None:
            path.write_bytes(self.new if isinstance(self.new, bytes) else self.new.encode())
        else:
            text = path.read_bytes()
            assert self.old.encode() in text, f"{self.old!r} is not in {path}"
            new = self.new if isinstance(self.new, bytes) else self.new.encode()
            path.write_bytes(text.replace(self.old.encode(), new, 1))


BASE = r"bases\.gpt2-codeparrot\.paper"
ADAMW_RATE = "          lr: 1.0e-3"
SIBLING = "sibling: {d_model: 64, layers: 4}"
SHORT = "  short:\n    steps: "
ADAFACTOR = "{base: [gpt2-codeparrot], optimiser: [adafactor], lr:"
SMALL = "python-packages-small: {from: python-packages,"
SMOKE = "smoke: {from: laptop, dataset: python-packages-small}"
RELEASED = "- model.placement: [released]"

MISTAKES = (
    # The file itself.
    Mistake("file-missing", "params.yaml is not there", QUESTION, None, None, r" is missing: run this from the proj"),
    Mistake("catalogue-missing", "a file of config/ is not there", BASES, None, None, r"^bases: this key is missing"),
    Mistake("file-empty", "a file is empty", QUESTION, None, "", r" is empty: restore it"),
    Mistake("file-of-comments", "a file holds comments alone", BASES, None, "# nothing\n", r" is empty: restore it"),
    Mistake(
        "file-a-list", "a file is a list", DATA, None, "- datasets\n", r"should be a mapping .* is a list; mend it"
    ),
    Mistake("file-a-text", "a file is a sentence", QUESTION, None, "laptop\n", r"should be a mapping .* is 'laptop'"),
    Mistake(
        "not-utf-8", "a byte that is not UTF-8", DATA, "# Python source", b"# \xe9", r", line \d+: not UTF-8; save"
    ),
    Mistake("control-character", "a control character", BASES, "# A base", "# \x07", r"character #x0007 is not allo"),
    Mistake("tab", "a tab as indent", QUESTION, "  laptop:\n", "\tlaptop:\n", r", line \d+: .*a tab: indent by spaces"),
    Mistake(
        "indent", "an indent that fits nothing", BASES, "      model:", "     model:", r", line \d+: .*; mend the YAML"
    ),
    Mistake(
        "bracket", "a bracket that is not closed", QUESTION, "scale: laptop", "scale: [laptop", r"line \d+: .*mend"
    ),
    Mistake(
        "nesting", "ten thousand brackets", QUESTION, "scale: laptop", f"scale: {'[' * 10000}", r"nested too deeply"
    ),
    Mistake(
        "tag", "a tag that asks for Python", QUESTION, "laptop\n", "!!python/name:os.system x\n", r"line \d+: .*tag"
    ),
    Mistake("two-documents", "a second document", QUESTION, "scales:", "---\nscales:", r"line \d+: .*another document"),
    Mistake("key-twice", "a key given twice", QUESTION, "scale: laptop", "scale: laptop\nscale: smoke", r"given twice"),
    Mistake(
        "key-a-list", "a list as a key", QUESTION, "scale: laptop", "[scale]: laptop", r"line \d+: a key should be a"
    ),
    Mistake(
        "alias",
        "a YAML alias",
        BASES,
        SMOKE,
        "smoke: *small",
        r", line \d+: \*small is an alias, and an override would miss it: write the key `from:`",
    ),
    Mistake(
        "merge-key",
        "a YAML merge key",
        BASES,
        "{from: laptop, dataset",
        "{<<: {clip: 1.0}, dataset",
        r", line \d+: << is a merge key, and an override would miss it: write the key `from:`",
    ),
    # Sections and keys.
    Mistake(
        "section-unknown", "an unknown section", QUESTION, "analysis:", "analyses:", r"^analyses: this key is not kn"
    ),
    Mistake(
        "section-twice", "a section in two files", QUESTION, "analysis:", "tokenizers: {}\nanalysis:", r"tokenizers st"
    ),
    Mistake(
        "section-elsewhere", "a section in the wrong file", DATA, "tokenizers:", "analysis: {}\ntokenizers:", r"alone"
    ),
    Mistake(
        "key-unknown", "an unknown key", BASES, "clip: 1.0", "clip: 1.0\n        clap: 1", rf"{BASE}\.training\.clap: t"
    ),
    Mistake(
        "key-misspelt",
        "a misspelt key",
        BASES,
        "        steps: 41000",
        "        stepz: 41000",
        r"training\.stepz: this key",
    ),
    Mistake(
        "key-missing", "a missing key", BASES, "        steps: 41000\n", "", rf"{BASE}\.training\.steps: this key is m"
    ),
    Mistake(
        "analysis-key", "a misspelt key of analysis", QUESTION, "confidence:", "confidense:", r"analysis\.confidense"
    ),
    Mistake(
        "entry-null", "an entry without content", BASES, SMOKE, "smoke:", r"smoke: should be a mapping of keys to va"
    ),
    # Values.
    Mistake(
        "value-of-a-set",
        "a value that is none of those known",
        QUESTION,
        "scale: laptop",
        "scale: desk",
        r"^scale: .*'desk'",
    ),
    Mistake(
        "number-quoted",
        "a number in quotes",
        BASES,
        "steps: 41000",
        "steps: '41000'",
        r"steps: .*'41000'; .*without quotes",
    ),
    Mistake(
        "number-underscore",
        "an underscore in a number",
        BASES,
        "steps: 41000",
        "steps: 41_000",
        r"steps: .*underscores",
    ),
    Mistake(
        "number-leading-zero", "a leading zero", BASES, "steps: 41000", "steps: 041000", r"steps: .*or leading zeros"
    ),
    Mistake(
        "number-percent", "a number with a unit", QUESTION, "0.15", "15%", r"window_start: .*'15%'; write a plain num"
    ),
    Mistake(
        "number-not-whole", "a fraction of a step", BASES, "steps: 41000", "steps: 8.5e1", r"training\.steps: .*85\.0"
    ),
    Mistake("number-nan", "not a number", BASES, ADAMW_RATE, "          lr: .nan", r"lr: .*finite number, but is nan"),
    Mistake(
        "number-infinite", "an infinite number", BASES, "init_std: 0.02", "init_std: .inf", r"init_std: .*finite number"
    ),
    Mistake(
        "number-too-large", "a number that overflows", BASES, "init_std: 0.02", "init_std: 1e999", r"init_std: .*finite"
    ),
    Mistake(
        "number-bound", "a number out of bounds", BASES, "batch: 512", "batch: 0", r"training\.batch: .*greater than 0"
    ),
    Mistake(
        "number-negative", "a negative rate", BASES, "  lr: 0.01\n", "  lr: -0.01\n", r"adafactor\.lr: .*greater than 0"
    ),
    Mistake(
        "share-above-one",
        "a share above one",
        BASES,
        "rank_fraction: 0.5",
        "rank_fraction: 1.5",
        r"dion\.rank_fraction: .*1",
    ),
    Mistake(
        "bare-no", "a bare no", BASES, "decay: linear", "decay: no", r"training\.decay: .*False; .*put it in quotes"
    ),
    Mistake("bare-on", "a bare on", DATA, "cleaning: code", "cleaning: on", r"cleaning: .*True; .*put it in quotes"),
    Mistake(
        "boolean",
        "a number for a switch",
        BASES,
        "nesterov: true",
        "nesterov: 0.9",
        r"muon\.nesterov: .*boolean.* 0\.9",
    ),
    Mistake(
        "not-a-list",
        "a value instead of a list",
        BASES,
        "biases: [query-key]",
        "biases: query-key",
        r"biases: should be a list",
    ),
    Mistake(
        "hash",
        "a hash in capitals",
        DATA,
        "sha256: e091cc",
        "sha256: E091cc",
        r"python-packages\.source\.packages\.0\.sha256",
    ),
    Mistake(
        "split",
        "splits that leave no text",
        DATA,
        "validation: 0.08",
        "validation: 0.99",
        r"python-packages: validation and",
    ),
    Mistake(
        "both", "one of two keys too many", BASES, "every: 200", "every: 200, points: 3", r"paper\.measure: give either"
    ),
    Mistake(
        "shape", "a shape that does not fit", BASES, "heads: 12", "heads: 5", rf"{BASE}\.model: heads \(5\) must divide"
    ),
    Mistake(
        "multiple",
        "tokens that are no whole sequences",
        BASES,
        "model: {context: 64, emb",
        "training: {eval_tokens: 65537}\n      model: {context: 64, emb",
        r"bases\.gpt2-codeparrot\.laptop: training\.eval",
    ),
    Mistake(
        "rest",
        "an optimiser of the rest with matrices",
        BASES,
        "rest: {from: muon.rest}",
        "rest: {from: adamw}",
        r"dion: rest\.decay",
    ),
    Mistake(
        "tag-missing",
        "an optimiser without its name",
        BASES,
        "adamw: {name: adamw, ",
        "adamw: {",
        r"adamw: the key 'name' is mi",
    ),
    Mistake(
        "tag-unknown",
        "an unknown optimiser",
        BASES,
        "{name: adamw, lr",
        "{name: lion, lr",
        r"adamw: 'lion' is no 'name' kno",
    ),
    # Siblings and recipes.
    Mistake(
        "sibling-key",
        "a misspelt key of a sibling",
        BASES,
        SIBLING,
        "sibling: {d: 64, layers: 4}",
        r"sibling\.d: this key",
    ),
    Mistake(
        "sibling-missing",
        "a sibling without depth",
        BASES,
        SIBLING,
        "sibling: {d_model: 64}",
        r"sibling\.layers: this key",
    ),
    Mistake(
        "sibling-type", "a number for a sibling", BASES, SIBLING, "sibling: 64", r"laptop\.sibling: should be a mapping"
    ),
    Mistake(
        "sibling-quoted",
        "a sibling's width in quotes",
        BASES,
        SIBLING,
        "sibling: {d_model: '64', layers: 4}",
        r"sibling\.d_model: .*'64'; .*without quotes",
    ),
    Mistake(
        "sibling-odd",
        "a sibling of odd width",
        BASES,
        SIBLING,
        "sibling: {d_model: 63, layers: 4}",
        r"sibling\.d_model: d_model \(63\) must be even",
    ),
    Mistake(
        "sibling-derived",
        "a sibling that states what the rule decides",
        BASES,
        "model: {context: 64, ",
        "model: {heads: 8, context: 64, ",
        r"laptop\.model\.heads: follows from the paper's model by the rule for siblings; remove it",
    ),
    Mistake(
        "sibling-of-itself",
        "a sibling at the paper's scale",
        BASES,
        "    paper:\n",
        f"    paper:\n      {SIBLING}\n",
        r"gpt2-codeparrot\.paper\.sibling: the paper's own models are no siblings",
    ),
    Mistake(
        "sibling-rate",
        "a sibling that states what the recipe decides",
        BASES,
        "      model: {context: 64, ",
        "      training: {steps: 900}\n      model: {context: 64, ",
        r"laptop\.training\.steps: the recipe 'long' decides this; say it in recipes\.long",
    ),
    Mistake(
        "recipe-key",
        "a misspelt key of a recipe",
        QUESTION,
        SHORT,
        SHORT.replace("steps", "stepz"),
        r"short\.stepz: this",
    ),
    Mistake("recipe-steps", "a recipe of no steps", QUESTION, SHORT, f"{SHORT}0 # ", r"short\.steps: .*greater than 0"),
    Mistake(
        "recipe-row-key",
        "a misspelt key of a row",
        QUESTION,
        ADAFACTOR,
        f"{ADAFACTOR} 1.0, rate:",
        r"rates\.\d\.rate: this",
    ),
    Mistake(
        "recipe-rate",
        "a row without a rate",
        QUESTION,
        ADAFACTOR,
        f"{ADAFACTOR[:-3]}steps:",
        r"rates\.\d\.lr: this key is mi",
    ),
    Mistake(
        "recipe-rate-quoted",
        "a rate in quotes",
        QUESTION,
        ADAFACTOR,
        ADAFACTOR.replace("lr:", "lr: '0.1', rest_lr:"),
        r"rates\.\d\.lr: .*'0\.1'; .*without quotes",
    ),
    Mistake(
        "recipe-row-empty",
        "a row about nothing",
        QUESTION,
        ADAFACTOR,
        ADAFACTOR.replace("[adafactor]", "[]"),
        r"rates\.\d\.optimiser: .*at least 1",
    ),
    Mistake(
        "recipe-row-base",
        "a row about an unknown base",
        QUESTION,
        ADAFACTOR,
        ADAFACTOR.replace("gpt2-codeparrot", "gpt3"),
        r"recipes\.short\.rates\.\d\.base\.0 refers to 'gpt3'",
    ),
    Mistake(
        "recipe-row-optimiser",
        "a row about an unknown optimiser",
        QUESTION,
        ADAFACTOR,
        ADAFACTOR.replace("adafactor", "lion"),
        r"recipes\.short\.rates\.\d\.optimiser\.0 refers to 'lion'",
    ),
    Mistake(
        "recipe-row-placement",
        "a row about an unknown placement",
        QUESTION,
        ADAFACTOR,
        ADAFACTOR.replace("{", "{placement: [top], "),
        r"recipes\.short\.rates\.\d\.placement\.0: .*'top'",
    ),
    Mistake(
        "recipe-row-rest",
        "a rate of the rest for an optimiser that leaves none",
        QUESTION,
        ADAFACTOR,
        ADAFACTOR.replace("lr:", "rest_lr: 0.1, lr:"),
        r"recipes\.short\.rates\.\d\.rest_lr: adafactor trains every parameter itself",
    ),
    Mistake(
        "recipe-no-row",
        "a run that no row of its recipe is about",
        QUESTION,
        "{base: [gpt2-openwebtext], lr:",
        "{base: [gpt2-openwebtext], placement: [postln], lr:",
        r"recipes\.short\.rates: no row is about base gpt2-openwebtext, placement preln, .*; add one with its lr",
    ),
    Mistake(
        "recipe-unknown",
        "a study of an unknown recipe",
        QUESTION,
        "recipe: long\n",
        "recipe: longer\n",
        r"studies\.activation\.recipe refers to 'longer', which recipes does not define",
    ),
    Mistake(
        "recipe-unknown-on-an-axis",
        "an unknown recipe on an axis",
        QUESTION,
        "recipe: [long]",
        "recipe: [[long]]",
        r"studies\.placement\.axes\.\d\.recipe: there is no recipe \['long'\] \(there is long, short\)",
    ),
    Mistake(
        "recipe-uses",
        "a scale that takes what no recipe has",
        QUESTION,
        "recipes: rates",
        "recipes: steps",
        r"scales\.smoke\.recipes: .*'steps'",
    ),
    # Names that refer to something.
    Mistake(
        "unknown-dataset",
        "an unknown data set",
        BASES,
        "dataset: python-packages\n",
        "dataset: x\n",
        r"dataset refers to 'x'",
    ),
    Mistake(
        "unknown-tokenizer",
        "an unknown tokenizer",
        BASES,
        "tokenizer: bpe-512",
        "tokenizer: bpe",
        r"tokenizer refers to 'bpe'",
    ),
    Mistake(
        "unknown-optimiser",
        "an unknown optimiser of a base",
        BASES,
        "optimiser: adamw",
        "optimiser: lion",
        r"optimiser refers to",
    ),
    Mistake(
        "unknown-base",
        "a study of an unknown base",
        QUESTION,
        "base: gpt2-codeparrot",
        "base: gpt3",
        r"activation\.base refers to",
    ),
    Mistake(
        "unknown-base-on-an-axis",
        "an unknown base on an axis",
        QUESTION,
        "- base: [mixer-cifar100]",
        "- base: [mixer]",
        r"there is no base 'mixer'",
    ),
    # Axes.
    Mistake(
        "axis-unknown",
        "an axis that is no setting",
        QUESTION,
        RELEASED,
        "- model.place: [x]",
        r"axes\.1\.model\.place: there is no",
    ),
    Mistake(
        "axis-value",
        "a value that an axis cannot have",
        QUESTION,
        RELEASED,
        "- model.placement: [top]",
        r"placement: .*'top'",
    ),
    Mistake(
        "axis-nan",
        "not a number on an axis",
        QUESTION,
        RELEASED,
        "- optimiser.lr: [.nan]",
        r"optimiser\.lr: .*finite number",
    ),
    Mistake(
        "axis-empty",
        "an axis without values",
        QUESTION,
        RELEASED,
        "- model.placement: []",
        r"model\.placement: .*at least 1",
    ),
    Mistake(
        "axis-no-list",
        "an axis with one value",
        QUESTION,
        RELEASED,
        "- seed: 3",
        r"axes\.1\.seed: should be a list in square",
    ),
    Mistake(
        "axes-empty",
        "a study without axes",
        QUESTION,
        "axes:\n      - model.positions: [rope, none]",
        "axes: []",
        r"axes: .*at least 1",
    ),
    Mistake(
        "seed-negative",
        "a negative seed",
        QUESTION,
        RELEASED,
        "- seed: [-1]",
        r"axes\.1\.seed: .*greater than or equal to 0",
    ),
    # What derives.
    Mistake(
        "from-unknown",
        "`from` names nothing",
        DATA,
        SMALL,
        "python-packages-small: {from: python,",
        r"small\.from: there is nothing called 'python'",
    ),
    Mistake(
        "from-itself",
        "`from` names itself",
        BASES,
        SMOKE,
        "smoke: {from: smoke}",
        r"smoke\.from: 'smoke' leads back to what",
    ),
    Mistake(
        "from-in-a-circle",
        "two that derive from each other",
        BASES,
        "      from: paper\n",
        "      from: smoke\n",
        r"\.from: '\w+' leads back",
    ),
    Mistake(
        "from-within",
        "`from` names what it lies in",
        BASES,
        "        family: decoder",
        "        from: gpt2-codeparrot.paper",
        r"model\.from: .*leads back",
    ),
    Mistake(
        "from-another-kind",
        "`from` names something of another kind",
        BASES,
        SMOKE,
        "smoke: {from: laptop.model}",
        r"another of the same kind",
    ),
    Mistake(
        "from-a-value",
        "`from` names a value",
        BASES,
        "rest: {from: muon.rest}",
        "rest: {from: muon.lr}",
        r"from: .*another of the same kind",
    ),
    Mistake(
        "from-a-list",
        "`from` is a list",
        BASES,
        SMOKE,
        "smoke: {from: [laptop]}",
        r"smoke\.from: should be the name of what this",
    ),
    Mistake(
        "from-of-a-base",
        "a base that derives at no scale",
        BASES,
        SMOKE,
        "from: mixer-cifar100",
        r"derives at each of its scales",
    ),
    Mistake(
        "from-in-a-study",
        "a study that derives",
        QUESTION,
        RELEASED,
        "- from: width",
        r"axes\.1\.from: should be a list",
    ),
    Mistake(
        "change-unknown",
        "a scale changes an unknown key",
        QUESTION,
        "{steps: 280,",
        "{stepz: 280,",
        r"smoke\.changes\.training\.stepz: this key",
    ),
    Mistake(
        "change-idle",
        "a scale changes what every base states",
        QUESTION,
        "      training: {batch: 8,",
        "      dataset: digits\n      training: {batch: 8,",
        r"laptop\.changes\.dataset: changes no base",
    ),
    Mistake(
        "derived-mistake",
        "a mistake in what derives",
        BASES,
        "model: {context: 128}",
        "model: {contxt: 128}",
        r"long\.laptop\.model\.contxt: this key is not",
    ),
    # Names that make paths.
    Mistake(
        "study-outside",
        "a study named as a path",
        QUESTION,
        "  width:\n",
        "  ../width:\n",
        r"studies\.\.\./width: this makes no name",
    ),
    Mistake(
        "study-of-a-target",
        "a study named as a target",
        QUESTION,
        "  width:\n",
        "  report:\n",
        r"studies\.report: a target of the workflow",
    ),
    Mistake(
        "dataset-outside",
        "a data set named as a path",
        DATA,
        "  fineweb:\n",
        "  ../../fineweb:\n",
        r"this makes no name",
    ),
    Mistake(
        "tokenizer-outside",
        "a tokenizer named as a path",
        DATA,
        "  t5: {",
        "  /t5: {",
        r"tokenizers\./t5: this makes no name",
    ),
    Mistake(
        "base-escape",
        "a control character in a name",
        BASES,
        "  llama-1.3b:\n",
        '  "llama\\e[2J":\n',
        r"bases\.llama\\x1b\[2J: this makes no",
    ),
    Mistake(
        "optimiser-outside",
        "an optimiser named as a path",
        BASES,
        "        sgd:\n",
        "        ../sgd:\n",
        r"optimisers\.\.\./sgd: this makes no",
    ),
    Mistake(
        "scale-unknown",
        "an unknown scale",
        BASES,
        SMOKE,
        "../smoke: {from: laptop}",
        r"bases\.gpt2-codeparrot\.\.\./smoke: .*'smoke', 'laptop' or",
    ),
    Mistake(
        "package-outside",
        "a package named as a path",
        DATA,
        "name: sympy",
        "name: ../../sympy",
        r"packages\.0\.name: .*pattern",
    ),
    Mistake(
        "package-option",
        "a package named as an option",
        DATA,
        "name: sympy",
        "name: --pre",
        r"packages\.0\.name: .*pattern",
    ),
)
