"""The template, the example configurations and the reference say what the schema says."""

from pathlib import Path

import pytest
import yaml

from mlff_dyn.config.load import load_config, parse_config
from mlff_dyn.config.problems import section_fields, walk_keys
from mlff_dyn.config.reference import BEGIN, END, reference_table, update_section
from mlff_dyn.config.template import config_template
from mlff_dyn.errors import DataError
from mlff_dyn.store.structure_file import read_structure

ROOT = Path(__file__).parents[2]
MINIMAL = sorted((ROOT / "configs" / "minimal").glob("*.yaml"))
FULL = sorted((ROOT / "configs" / "full").glob("*.yaml"))


def keys_of(values: dict[str, object], path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    known = section_fields(path)
    found = {(*path, key) for key in values}
    for key, value in values.items():
        if isinstance(value, dict) and key in known and section_fields((*path, key)):
            found |= keys_of(value, (*path, key))
    return found


def test_the_examples_come_in_pairs() -> None:
    assert [path.name for path in MINIMAL] == [path.name for path in FULL]
    assert len(MINIMAL) == 7


@pytest.mark.parametrize("path", [*MINIMAL, *FULL], ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_an_example_is_valid_and_its_structure_is_there(path: Path) -> None:
    config = load_config(path)
    atoms = read_structure(config.structure.file)
    engine = config.require_engine()
    pseudopotentials = engine.parameters.get("pseudopotentials", dict.fromkeys(atoms.symbols))
    assert set(pseudopotentials) == set(atoms.symbols)


@pytest.mark.parametrize("path", FULL, ids=lambda path: path.stem)
def test_a_full_example_has_every_key_as_the_template_writes_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = keys_of(yaml.safe_load(text))
    others = (("criterion", kind) for kind in ("paper", "per_step", "fixed", "random"))
    nested = [("convergence", "observables", name) for name in ("frequencies", "elastic")]
    nested += [("phonons", name) for name in ("effective", "spectra")]
    nested += [("training", "exploration", "ramp")]
    absent = [("training", "prior"), *nested, *(("training", *each) for each in others)]
    assert found == {key for key in walk_keys() if not any(key[: len(a)] == a != key for a in absent)}
    assert config_template(load_config(path), path.parent) == text


def test_the_template_reads_back_as_the_same_configuration(tmp_path: Path) -> None:
    values = {
        "structure": {"file": str(tmp_path / "x" / "NaCl.vasp"), "supercell": [2, 2, 2]},
        "expansion": {"cutoffs_angstrom": {2: "full", 3: {2: 4.0, 3: 3.5}}},
        "engine": {"kind": "espresso", "profile": {"pseudo_dir": "pseudo"}},
    }
    config = parse_config(yaml.safe_dump(values), source="draft", folder=tmp_path, overrides=["seed=7"])
    text = config_template(config, tmp_path, {("structure", "supercell"): ["a note", "word " * 40]})
    assert "  # a note\n  # word" in text
    assert parse_config(text, source="template", folder=tmp_path) == config
    assert max(len(line) for line in text.splitlines()) <= 100
    for path in walk_keys():
        description = str(section_fields(path[:-1])[path[-1]].description)
        assert " ".join(description.replace("#", " ").split()) in " ".join(text.replace("#", " ").split())


def test_every_key_has_a_description_and_units_where_it_needs_them() -> None:
    for path in walk_keys():
        assert section_fields(path[:-1])[path[-1]].description, path


def test_the_reference_has_one_row_per_key() -> None:
    table = reference_table()
    for path in walk_keys():
        assert table.count(f"`{'.'.join(path)}`") >= 1
    assert len(table.splitlines()) == 2 + len(set(walk_keys()))
    assert all(row.startswith(("| ", "|--")) for row in table.splitlines())


def test_the_readme_holds_the_current_reference() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert update_section(text) == text, "run: make readme"


def test_a_text_without_markers_is_refused() -> None:
    with pytest.raises(DataError, match="no place"):
        update_section(f"{END} {BEGIN}")
