"""The shape of the code: imports point one way, files and functions are short, nothing is there in vain."""

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import permutations
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "mlff_dyn"
TESTS = REPOSITORY / "tests"
OF_ALL_PARTS = {"drills"}
"""Folders of tests that take the program as a whole."""

LAYERS = (
    ("__init__", "__main__"),
    ("cli",),
    ("workflows",),
    ("config", "formats", "observables", "report"),
    ("engines", "execution", "store", "training", "md"),
    ("model",),
    ("lattice", "local", "regression"),
    ("kernels",),
    ("errors", "units"),
)
FORBIDDEN = set(permutations(("lattice", "local", "regression"), 2))
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60
MAX_FOLDERS_OF_A_NAME = 2

FOR_USERS = {"load_calculator", "sample", "lattices"}
"""Names that only the users of the package call."""
CALLED_BY_LIBRARIES = re.compile(
    r"__\w+__|emit|render|invoke|calculate|construct_mapping|recvposdata|status_polling_interval"
)
"""Names of methods that Python and libraries call."""
SHARED_FILE_NAMES = {"__init__.py", "engine.py", "registry.py"}

LEVELS = {name: level for level, names in enumerate(LAYERS) for name in names}
SOURCES = sorted(PACKAGE.rglob("*.py"))
COMPILED_SOURCES = sorted([*PACKAGE.rglob("*.cpp"), *PACKAGE.rglob("*.hpp")])


@cache
def nodes(source: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(source.read_text(encoding="utf-8"))))


def place(source: Path, node: ast.AST | None = None) -> str:
    """Where something is, as editors understand it."""
    line = "" if node is None else f":{getattr(node, 'lineno', 1)}"
    return f"{source.relative_to(REPOSITORY)}{line}"


def check(violations: Iterable[str]) -> None:
    """Fail with all violations, one a line."""
    found = sorted(violations)
    assert not found, "\n".join([f"{len(found)} violations", *found])


def part_of(source: Path) -> str:
    """Top-level folder or module of a source file."""
    return source.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_modules(source: Path) -> Iterator[str]:
    """Every module of the package that a file imports, anywhere in it."""
    for node in nodes(source):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        yield from (name for name in names if name.split(".")[0] == PACKAGE.name)


def test_every_part_has_a_layer() -> None:
    check({part_of(source) for source in SOURCES} - set(LEVELS))


def test_imports_point_down() -> None:
    def violations() -> Iterator[str]:
        for source in SOURCES:
            part = part_of(source)
            for module in imported_modules(source):
                target = module.partition(".")[2].partition(".")[0]
                if not target:
                    yield f"{place(source)} imports the package root"
                elif LEVELS[target] < LEVELS[part] or (part, target) in FORBIDDEN:
                    yield f"{place(source)} imports {module}, which does not lie below {part}"

    check(violations())


def test_imports_are_absolute() -> None:
    check(
        f"{place(source, node)} imports by a relative name"
        for source in SOURCES
        for node in nodes(source)
        if isinstance(node, ast.ImportFrom) and node.level
    )


def test_no_import_cycle_between_parts() -> None:
    targets: dict[str, set[str]] = defaultdict(set)
    for source in SOURCES:
        part = part_of(source)
        targets[part] |= {module.split(".")[1] for module in imported_modules(source)} - {part}

    finished: set[str] = set()

    def visit(part: str, trail: tuple[str, ...]) -> None:
        assert part not in trail, f"import cycle: {' > '.join([*trail, part])}"
        if part not in finished:
            for target in sorted(targets[part]):
                visit(target, (*trail, part))
            finished.add(part)

    for part in list(targets):
        visit(part, ())


def test_files_are_short() -> None:
    lengths = {s: len(s.read_text(encoding="utf-8").splitlines()) for s in [*SOURCES, *COMPILED_SOURCES]}
    check(f"{place(s)} has {length} lines" for s, length in lengths.items() if length > MAX_FILE_LINES)


def test_functions_are_short() -> None:
    def violations() -> Iterator[str]:
        for source in SOURCES:
            for node in nodes(source):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    length = (node.end_lineno or node.lineno) - node.lineno + 1
                    if length > MAX_FUNCTION_LINES:
                        yield f"{place(source, node)} {node.name} has {length} lines"

    check(violations())


def test_objects_are_not_told_apart_by_address_nor_built_past_their_constructor() -> None:
    """An id is given to another object after the first has gone; __new__ and __dict__ skip the checks."""

    def violations() -> Iterator[str]:
        for source in SOURCES:
            for node in nodes(source):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "id":
                    yield f"{place(source, node)} calls id"
                name = getattr(node, "attr", getattr(node, "name", None))
                if name in ("__dict__", "__new__"):
                    yield f"{place(source, node)} uses {name}"

    check(violations())


def test_a_file_name_has_one_meaning() -> None:
    folders: dict[str, list[str]] = defaultdict(list)
    for source in SOURCES:
        folders[source.name].append(str(source.parent.relative_to(REPOSITORY)))
    check(
        f"{name} is in {', '.join(found)}"
        for name, found in folders.items()
        if name not in SHARED_FILE_NAMES and len(found) > MAX_FOLDERS_OF_A_NAME
    )


def test_tests_mirror_the_package() -> None:
    folders = {source.parent.relative_to(TESTS) for source in TESTS.rglob("*.py")}
    homes = (PACKAGE, REPOSITORY)
    check(
        f"tests/{folder} has neither mlff_dyn/{folder} nor {folder}"
        for folder in folders
        if str(folder) not in OF_ALL_PARTS and not any((home / folder).is_dir() for home in homes)
    )


def uses(tree: ast.AST) -> Counter[str]:
    """How often names are read, imported, taken as attributes or given as text in a piece of code."""
    found: Counter[str] = Counter()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found[node.id] += 1
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            found["." + node.attr] += 1
        elif isinstance(node, ast.ImportFrom):
            found.update("import " + alias.name for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            found["." + node.value] += 1
    return found


def definitions(source: Path) -> Iterator[tuple[ast.FunctionDef | ast.ClassDef, bool]]:
    """Functions and classes of a file, and whether they belong to the module and not to a class in it."""
    for node in nodes(source):
        for child in getattr(node, "body", ()) if isinstance(node, ast.Module | ast.ClassDef) else ():
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                yield child, isinstance(node, ast.Module)


def is_called_by_a_library(node: ast.FunctionDef | ast.ClassDef, *, is_in_module: bool) -> bool:
    decorators = " ".join(ast.unparse(decorator) for decorator in node.decorator_list)
    if is_in_module:
        return node.name == "__getattr__" or "callback" in decorators
    return bool(CALLED_BY_LIBRARIES.fullmatch(node.name)) or "validator" in decorators


def test_everything_is_used_by_more_than_tests() -> None:
    trees = {
        source: nodes(source)[0]
        for folder in ("mlff_dyn", "benchmarks", "examples")
        for source in (REPOSITORY / folder).rglob("*.py")
    }
    by_file = {source: uses(tree) for source, tree in trees.items()}
    everywhere = sum((c for source, c in by_file.items() if source.name != "__init__.py"), Counter[str]())
    told = set(re.findall(r"\w+", (REPOSITORY / "README.md").read_text(encoding="utf-8")))

    def is_used(source: Path, node: ast.FunctionDef | ast.ClassDef, *, is_in_module: bool) -> bool:
        own = uses(node)
        if node.name in FOR_USERS or everywhere["." + node.name] > own["." + node.name]:
            return True
        if is_called_by_a_library(node, is_in_module=is_in_module):
            return True
        here = by_file[source][node.name] > own[node.name]
        return is_in_module and (here or everywhere["import " + node.name] > 0 or node.name in told)

    check(
        f"{place(source, node)} {node.name} is used by tests alone"
        for source in SOURCES
        for node, is_in_module in definitions(source)
        if not is_used(source, node, is_in_module=is_in_module)
    )
