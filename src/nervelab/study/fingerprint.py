"""The code fingerprint: a hash of the syntax trees that can influence a number.

The walk is our own because `ast.dump` prints fields that differ between Python versions.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from nervelab.errors import NervelabError

PACKAGE = "nervelab"
DATA_SUFFIXES = (".j2", ".css", ".yaml")
ROOT = Path(__file__).resolve().parent.parent


def module_path(module: str, root: Path = ROOT) -> Path | None:
    """The file of a module of this package below `root` (the package's own folder), or None where there is none."""
    parts = module.split(".")[1:]
    for candidate in (root.joinpath(*parts, "__init__.py"), root.joinpath(*parts).with_suffix(".py")):
        if parts and candidate.is_file():
            return candidate
    initial = root / "__init__.py"
    return initial if not parts and initial.is_file() else None


def closure(entries: Iterable[str], root: Path = ROOT) -> dict[str, Path]:
    """Every module of this package that `entries` import, directly or not, with the packages around them.

    The closure is static: imports inside functions count, those under `if TYPE_CHECKING` never run and do not count,
    and imports by name (`importlib`) are not seen, so components that are loaded by name must be among `entries`.

    Raises:
        NervelabError: an entry is no module of this package.
    """
    found: dict[str, Path] = {}
    waiting = list(entries)
    for entry in waiting:
        if module_path(entry, root) is None:
            raise NervelabError(f"{entry} is no module of {PACKAGE}: mend its name in study/components.py.")
    while waiting:
        module = waiting.pop()
        path = module_path(module, root)
        if path is None or module in found:
            continue
        found[module] = path
        if "." in module:
            waiting.append(module.rpartition(".")[0])
        waiting.extend(_imports(path, module))
    return dict(sorted(found.items()))


def fingerprint(entries: Iterable[str], root: Path = ROOT) -> str:
    """The sha256 of the canonical syntax trees of the import closure of `entries`.

    Comments, docstrings, formatting and what only a type checker reads do not change it, and neither does the version
    of Python. The other files of a package in the closure (templates, tables) are hashed as they are.
    """
    total = hashlib.sha256()
    for module, path in closure(entries, root).items():
        total.update(f"{module}={_tree_digest(path, path.stat().st_mtime_ns)}\n".encode())
        if path.name == "__init__.py":
            for data in package_data(path.parent):
                content = hashlib.sha256(data.read_bytes()).hexdigest()
                total.update(f"{module}/{data.relative_to(path.parent).as_posix()}={content}\n".encode())
    return total.hexdigest()


def package_data(folder: Path) -> Iterator[Path]:
    """The files of a package that are not code but count (templates, tables), in a fixed order."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name != "__pycache__" and not (path / "__init__.py").exists():
            yield from package_data(path)
        elif path.suffix in DATA_SUFFIXES:
            yield path


def _imports(path: Path, module: str) -> Iterator[str]:
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(_parse(path, path.stat().st_mtime_ns)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == PACKAGE)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                around = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*around, base] if base else around)
            if base.split(".")[0] == PACKAGE:
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names)


class _RunningCode(ast.NodeTransformer):
    """Leaves out what only a type checker reads: the bodies of `if TYPE_CHECKING`, and the import of that name.

    It has to be the name of `typing`: what a module calls so itself may be true.
    """

    def __init__(self, tree: ast.Module) -> None:
        imported = [each for each in ast.walk(tree) if isinstance(each, ast.ImportFrom) and each.module == "typing"]
        plain = any(alias.name == "TYPE_CHECKING" and not alias.asname for each in imported for alias in each.names)
        self.names = {"typing.TYPE_CHECKING", *(["TYPE_CHECKING"] if plain else [])}

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        return node.orelse if ast.unparse(node.test) in self.names else node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        if node.module == "typing":
            node.names = [alias for alias in node.names if (alias.name, alias.asname) != ("TYPE_CHECKING", None)]
        return node if node.names else None


@cache
def _parse(path: Path, _stamp: int) -> ast.Module:
    """The syntax tree of what runs in a module."""
    try:
        tree = ast.parse(path.read_bytes())
        return _RunningCode(tree).visit(tree)
    except SyntaxError as error:
        raise NervelabError(f"{path} is not valid Python (line {error.lineno}): mend it first.") from error


@cache
def _tree_digest(path: Path, stamp: int) -> str:
    return hashlib.sha256(canonical_source(_parse(path, stamp)).encode()).hexdigest()


def canonical_source(tree: ast.AST) -> str:
    """A text of a syntax tree that every supported Python writes alike: node types and their non-empty fields."""
    pieces: list[str] = []
    _write(tree, pieces)
    return "".join(pieces)


def _write(node: object, pieces: list[str]) -> None:
    if isinstance(node, ast.AST):
        pieces.append(f"({type(node).__name__}")
        for name, value in ast.iter_fields(node):
            if isinstance(node, ast.JoinedStr):  # some Pythons put an empty piece into f-strings
                value = [each for each in value if not (isinstance(each, ast.Constant) and each.value == "")]
            # Empty fields are left out, so that a field added by a later Python (type_params) changes nothing.
            if value is None or value == [] or name in ("kind", "type_comment"):
                continue
            pieces.append(f" {name}=")
            _write(value, pieces)
        pieces.append(")")
    elif isinstance(node, list):
        pieces.append("[")
        for item in node:
            if not _says_nothing(item):
                _write(item, pieces)
        pieces.append("]")
    else:
        pieces.append(f"{type(node).__name__}:{node!a};")


def _says_nothing(node: object) -> bool:
    """A string that stands alone: a docstring, of a module, a definition or a constant."""
    alone = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return alone and isinstance(node.value.value, str)
