"""Reading configurations: what is accepted, and that every refusal names the key."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlff_dyn.config.load import load_config, parse_config, resolved_yaml
from mlff_dyn.config.schema import Config
from mlff_dyn.errors import ConfigError

MINIMAL = """\
structure: {file: Si.vasp, supercell: [2, 2, 2]}
expansion:
  cutoffs_angstrom: {2: full, 3: 4.0, 4: {2: 4.0, 3: 3.4, 4: 3.4}}
"""

BOMB = "a0: &a0 [1]\n" + "".join(f"a{k + 1}: &a{k + 1} [{', '.join([f'*a{k}'] * 9)}]\n" for k in range(12))


@pytest.fixture
def usual_recursion_limit() -> Iterator[None]:
    """symfc raises it where it is imported."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    yield
    sys.setrecursionlimit(before)


def parse(text: str, *overrides: str) -> Config:
    return parse_config(text, source="c.yaml", folder=Path("/data"), overrides=overrides)


def refusal(text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, *overrides)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_only_structure_and_expansion_are_required() -> None:
    config = parse(MINIMAL)
    assert config.structure.supercell == ((2, 0, 0), (0, 2, 0), (0, 0, 2))
    assert config.expansion.cutoffs_angstrom == {2: "full", 3: 4.0, 4: {2: 4.0, 3: 3.4, 4: 3.4}}
    assert config.convergence_temperatures == config.md.temperatures_kelvin == (300.0,)
    assert config.engine is None
    with pytest.raises(ConfigError, match="no section engine"):
        config.require_engine()
    message = refusal("{}")
    assert "structure: required" in message
    assert "expansion: required" in message


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    text = MINIMAL + "engine: {kind: espresso, profile: {pseudo_dir: pseudo}}\n"
    (tmp_path / "c.yaml").write_text(text)
    config = load_config(tmp_path / "c.yaml")
    assert config.structure.file == tmp_path / "Si.vasp"
    assert config.run_dir == tmp_path / "run"
    assert config.require_engine().profile["pseudo_dir"] == str(tmp_path / "pseudo")


def test_resolved_yaml_reads_back_as_the_same_configuration() -> None:
    arguments = "{x: 1e-5, y: '1e5', z: '1', t: 'true'}"
    text = MINIMAL + f"engine: {{kind: ase, parameters: {{calculator: 'a.b:C', arguments: {arguments}}}}}\n"
    config = parse(
        text, "md.supercell=[[0, 1, 1], [1, 0, 1], [1, 1, 0]]", "md.displacement_limit_angstrom=0.5"
    )
    again = parse_config(resolved_yaml(config), source="again", folder=Path("/elsewhere"))
    assert again == config
    assert resolved_yaml(again) == resolved_yaml(config)


def test_a_configuration_does_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parse(MINIMAL).seed = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("training.critereon", "training.criterion"),
        ("training.criterion.force_error_limit", "training.criterion.force_error_limit_relative"),
        ("md.timestep_fs", "md.timestep_femtoseconds"),
        ("structur", "structure"),
        ("cutoffs_angstrom", "expansion.cutoffs_angstrom"),
    ],
)
def test_an_unknown_key_is_an_error_with_the_nearest_name(key: str, nearest: str) -> None:
    assert f"{key}: unknown key; did you mean {nearest}?" in refusal(MINIMAL, f"{key}=1")


@pytest.mark.parametrize(
    "override",
    [
        "md.temperatures_kelvin=[x]",
        "phonons.temperatures_kelvin=[-3]",
        "phonons.effective={kind: dynamics, temperatures_kelvin: [nan]}",
        "thermodynamics.quantities=[foo]",
        "convergence.observables.frequencies={q_points: [[0, 0, a]]}",
        "convergence.observables.frequencies={q_points: [[0, 0]]}",
    ],
)
def test_one_wrong_element_of_a_list_is_one_line(override):
    assert "\n" not in refusal(MINIMAL, override)
    assert "should not be empty" not in refusal(MINIMAL, override)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("seed=-1", "seed: should be greater than or equal to 0"),
        ("seed=true", "seed: should be a number"),
        ("md.n_steps=many", "md.n_steps: should be a whole number"),
        ("md.n_steps=1.5", "md.n_steps: should be a whole number"),
        ("md.n_steps=0", "md.n_steps: should be greater"),
        ("md.temperatures_kelvin=300", "md.temperatures_kelvin: should be a list"),
        ("md.temperatures_kelvin=[]", "md.temperatures_kelvin: should not be empty"),
        ("md.temperatures_kelvin=[300, 300.0]", "a temperature is given twice"),
        (
            "md.temperatures_kelvin=[300, -1]",
            "md.temperatures_kelvin.1: should be greater than or equal to 0.1",
        ),
        ("md.timestep_femtoseconds=.inf", "md.timestep_femtoseconds: should be a finite number"),
        ("md.ensemble=nph", "'nph' is not one of 'nve', 'nvt', 'npt'"),
        ("engine.kind=vsap", "'vsap' is not one of "),
        ("md=3", "md: should be a section"),
        ("structure.supercell=[2, 2]", "structure.supercell: should be 3 positive integers"),
        ("structure.supercell=[2, 2, 0]", "structure.supercell: should be 3 positive integers"),
        ("structure.supercell=[[1, 0, 0], [0, 1, 0], [1, 1, 0]]", "the determinant is 0"),
        ("structure.supercell=[[0, 1, 0], [1, 0, 0], [0, 0, 1]]", "the determinant is -1"),
        ("expansion.cutoffs_angstrom={}", "should map every order"),
        ("expansion.cutoffs_angstrom={3: 4.0}", "without a gap"),
        ("expansion.cutoffs_angstrom={2: full, 4: 4.0}", "without a gap"),
        ("expansion.cutoffs_angstrom={2: 5, 3: 3, 4: 3, 5: 3, 6: 3, 7: 3}", "at most 6"),
        ("expansion.cutoffs_angstrom={2: full, 3: full, 4: full}", "order 4: full is for orders up to 3"),
        ("expansion.cutoffs_angstrom={2: -1.0}", "order 2: -1.0 should be a positive length"),
        ("expansion.cutoffs_angstrom={2: 5.0, 3: {4: 3.0}}", "order 3: the numbers of bodies"),
        ("expansion.cutoffs_angstrom={two: 5.0}", "order 'two' should be an integer"),
        ("expansion.local=true", "expansion.local: should be a section"),
        ("expansion.local.cutoff_angstrom=0", "local.cutoff_angstrom: should be greater than 0"),
        ("expansion.local.cutoff_angstrom=50", "local.cutoff_angstrom: should be less than or equal to 12"),
        ("expansion.local.n_radial=13", "local.n_radial: should be less than or equal to 12"),
        ("expansion.local.n_radial=2.5", "local.n_radial: should be a whole number"),
        ("expansion.local.l_max=-1", "local.l_max: should be greater than or equal to 0"),
        ("expansion.local.l_max=7", "local.l_max: should be less than or equal to 6"),
        ("expansion.local.lmax=3", "did you mean expansion.local.l_max?"),
        ("conductivity.q_mesh=[0, 5, 5]", "[0, 5, 5] should be auto or 3 positive integers"),
        ("conductivity.q_mesh=[5, 5]", "[5, 5] should be auto or 3 positive integers"),
        ("conductivity.q_mesh=[5, 5, true]", "should be auto or 3 positive integers"),
        ("conductivity.q_mesh=fine", "'fine' should be auto or 3 positive integers"),
    ],
)
def test_an_impossible_value_is_refused_by_its_dotted_name(override: str, expected: str) -> None:
    message = refusal(MINIMAL, override)
    assert override.partition("=")[0] in message
    assert expected in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("[100000000000000000000, 1, 1]", "at most 1000000 cells"),
        ("[[1, 100000000000, 0], [0, 1, 0], [0, 0, 1]]", "entries up to 1000000"),
    ],
)
def test_supercells_have_an_end(value: str, expected: str) -> None:
    message = refusal(MINIMAL, f"structure.supercell={value}")
    assert expected in message


def test_every_problem_is_named_with_its_line_in_the_order_of_the_file() -> None:
    message = refusal(MINIMAL + "md:\n  n_step: 5\n  ensemble: nph\nseed: x\n")
    lines = message.splitlines()
    assert [line.split(":")[0] for line in lines] == ["c.yaml, line 5", "c.yaml, line 6", "c.yaml, line 7"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1,", "c.yaml, line 1, column 7"),
        ("a: 1\nb: 2\na: 3\n", "c.yaml, line 3, column 1: key a is given twice"),
        ("md: {n_steps: 1, n_steps: 2}", "key n_steps is given twice"),
        ("a: &x [*x]", "an alias contains itself"),
        ("a: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
        ("- 1\n", "is not a configuration"),
        ("", "is not a configuration"),
        ("Si\n1.0\n5.43 0 0\n", "is not a configuration"),
        ("a: 1\n---\nb: 2\n", "c.yaml, line 2"),
        ("? [1, 2]\n: 3\n", "a key is not a plain value"),
        ("a: " + "[" * 3000 + "]" * 3000, "nested too deeply"),
        (BOMB, "more than 100000 entries"),
        ("a: \x00\x07", "special characters are not allowed"),
    ],
)
@pytest.mark.usefixtures("usual_recursion_limit")
def test_bad_yaml_is_refused_with_its_place(text: str, expected: str) -> None:
    assert expected in refusal(text)


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"No such file.*init STRUCTURE"):
        load_config(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="Is a directory"):
        load_config(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(tmp_path / "binary.yaml")


def test_overrides_win_and_the_last_wins() -> None:
    config = parse(
        MINIMAL + "md: {n_steps: 10}\n",
        "md.n_steps=20",
        "md.n_steps=1e3",
        "expansion.cutoffs_angstrom.3=4.5",
        "engine.kind=espresso",
        "engine.parameters.input_data.system.ecutwfc=30",
    )
    assert config.md.n_steps == 1000
    assert config.expansion.cutoffs_angstrom[3] == 4.5
    assert config.require_engine().parameters == {"input_data": {"system": {"ecutwfc": 30}}}


@pytest.mark.parametrize("override", ["seed", "=1", "md..n_steps=1", "structure.file.x=1", "seed=[1"])
def test_a_malformed_override_is_refused(override: str) -> None:
    assert refusal(MINIMAL, override).startswith("--set ")


def test_scalars_follow_yaml_1_2() -> None:
    config = parse(
        MINIMAL + "engine: {kind: ase, parameters: {a: yes, b: 1e-5, c: 010, d: 1:30, e: true, f: ~}}\n"
    )
    expected = {"a": "yes", "b": 1.0e-5, "c": "010", "d": "1:30", "e": True, "f": None}
    assert config.require_engine().parameters == expected
