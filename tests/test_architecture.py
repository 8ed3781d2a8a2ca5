"""The shape of the code: imports point one way, no file and no function is too long."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "mlff_dyn"
TESTS = Path(__file__).parent

LAYERS = (
    ("__init__", "__main__"),
    ("cli",),
    ("workflows",),
    ("config", "formats", "report"),
    ("engines", "execution", "store", "training", "md", "observables"),
    ("model",),
    ("lattice", "regression"),
    ("kernels",),
    ("errors", "units"),
)
FORBIDDEN = {("regression", "lattice"), ("lattice", "regression")}
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60

LEVELS = {name: level for level, names in enumerate(LAYERS) for name in names}
SOURCES = sorted(PACKAGE.rglob("*.py"))
ALL_SOURCES = sorted([*SOURCES, *TESTS.rglob("*.py"), *PACKAGE.rglob("*.cpp"), *PACKAGE.rglob("*.hpp")])


def part_of(source: Path) -> str:
    """Top-level folder or module of a source file."""
    return source.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_modules(source: Path) -> Iterator[str]:
    """Every module of the package that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source}:{node.lineno} imports by a relative name"
            names = [node.module or ""]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == PACKAGE.name)


def test_every_part_has_a_layer() -> None:
    assert {part_of(source) for source in SOURCES} <= set(LEVELS)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: str(source.relative_to(PACKAGE)))
def test_imports_point_down(source: Path) -> None:
    part = part_of(source)
    for module in imported_modules(source):
        assert module != PACKAGE.name, f"{source} imports the package root"
        target = module.split(".")[1]
        assert LEVELS[target] >= LEVELS[part], f"{source} imports {module}, which lies above {part}"
        assert (part, target) not in FORBIDDEN, f"{source} imports {module}"


def test_no_import_cycle_between_parts() -> None:
    targets: dict[str, set[str]] = {}
    for source in SOURCES:
        part = part_of(source)
        found = {module.split(".")[1] for module in imported_modules(source) if module != PACKAGE.name}
        targets.setdefault(part, set()).update(found - {part})

    finished: set[str] = set()

    def visit(part: str, trail: tuple[str, ...]) -> None:
        assert part not in trail, f"import cycle: {' > '.join([*trail, part])}"
        if part not in finished:
            for target in sorted(targets.get(part, ())):
                visit(target, (*trail, part))
            finished.add(part)

    for part in targets:
        visit(part, ())


@pytest.mark.parametrize("source", ALL_SOURCES, ids=lambda source: str(source.relative_to(PACKAGE.parent)))
def test_files_and_functions_are_short(source: Path) -> None:
    text = source.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_FILE_LINES
    if source.suffix != ".py":
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= MAX_FUNCTION_LINES, f"{source}:{node.lineno} {node.name} has {length} lines"
