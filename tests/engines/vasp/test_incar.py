"""Tags of INCAR: checked, written, read by others."""

from __future__ import annotations

import pytest
from ase.calculators.vasp.create_input import GenerateVaspInput
from pymatgen.io.vasp.inputs import Incar as PymatgenIncar

from mlff_dyn.engines.vasp.incar import checked_incar, format_incar, parse_incar, typed_value, without_machine
from mlff_dyn.engines.vasp.incar_tags import INCAR_TAGS
from mlff_dyn.errors import ConfigError


def test_a_static_calculation_of_forces_by_default():
    tags = checked_incar({"encut": 400}).for_species(("Si",))
    assert tags["ENCUT"] == 400.0
    assert (tags["NSW"], tags["IBRION"], tags["ISIF"], tags["ISYM"]) == (0, -1, 2, 0)
    assert (tags["PREC"], tags["ALGO"], tags["EDIFF"], tags["NELM"]) == ("Accurate", "Normal", 1e-7, 120)
    assert (tags["LWAVE"], tags["LCHARG"], tags["LREAL"]) == (False, False, False)


@pytest.mark.parametrize(
    ("given", "tag", "value"),
    [
        ({"EDIFF": "1e-8"}, "EDIFF", 1e-8),
        ({"EDIFF": "1d-8"}, "EDIFF", 1e-8),
        ({"LREAL": "Auto"}, "LREAL", "Auto"),
        ({"LREAL": ".FALSE."}, "LREAL", False),
        ({"LASPH": True}, "LASPH", True),
        ({"LASPH": "T"}, "LASPH", True),
        ({"GGA": 91}, "GGA", "91"),
        ({"NBANDS": 64}, "NBANDS", 64),
        ({"DIPOL": [0.5, 0.5, 0]}, "DIPOL", [0.5, 0.5, 0.0]),
        ({"FERWE": "3*1.0 2*0"}, "FERWE", [1.0, 1.0, 1.0, 0.0, 0.0]),
        ({"algo": "Fast"}, "ALGO", "Fast"),
        ({"ISYM": 2}, "ISYM", 2),
        ({"NSW": 0}, "NSW", 0),
    ],
)
def test_values_in_the_kind_of_their_tag(given, tag, value):
    found = checked_incar(given).tags[tag]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ENCUTT": 400}, "did you mean ENCUT"),
        ({"EDIF": 1e-6}, "did you mean EDIFF"),
        ({"ISMEER": 0}, "did you mean ISMEAR"),
        ({"ENCUT": "high"}, "one number expected, got 'high'"),
        ({"ENCUT": True}, "one number expected"),
        ({"ENCUT": float("inf")}, "one number expected"),
        ({"ENCUT": "1e999"}, "one number expected"),
        ({"FERWE": "9999999999*0.5"}, "numbers expected"),
        ({"NELM": 60.5}, "one integer expected"),
        ({"LASPH": 1}, "true or false expected"),
        ({"NSW": 20}, "is always 0"),
        ({"IBRION": 2}, "is always -1"),
        ({"ISIF": 3}, "is always 2"),
        ({"POTIM": 0.5}, "relaxations, dynamics"),
        ({"ML_LMLFF": True}, "force fields"),
        ({"ICHARG": 11}, "engine.profile.reuse"),
        ({"KSPACING": 0.3}, "engine.parameters.kpoints"),
        ({"ALGO": "GW0"}, "ground state"),
        ({"ALGO": "None"}, "ground state"),
        ({"ALGO": "Eigenval"}, "ground state"),
        ({"IALGO": 38}, "set ALGO"),
        ({"LEPSILON": True}, "response"),
        ({"LDAUU": [6.0, 0.0]}, "by element, as LDAUU: {Ni: 6.0}"),
        ({"LDAUL": {"Ni": "d"}}, "one integer an element"),
        ({"MAGMOM": "4*2.0"}, "structure.magnetic_moments"),
        ({"ENMAX": 400}, "set ENCUT"),
        ({"EDIFF": 1e-2}, "at most 0.0001"),
        ({"LNONCOLLINEAR": True}, "collinear"),
    ],
)
def test_what_would_break_the_calculation_is_refused_in_one_line(given, message):
    with pytest.raises(ConfigError) as raised:
        checked_incar({"ENCUT": 400, **given})
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith("engine.parameters.incar")


def test_hubbard_by_element_in_the_order_of_species():
    incar = checked_incar({"ENCUT": 500, "LDAUL": {"Ni": 2}, "LDAUU": {"Ni": 6.0}})
    tags = incar.for_species(("O", "Ni"))
    assert (tags["LDAU"], tags["LDAUL"], tags["LDAUU"]) == (True, [-1, 2], [0.0, 6.0])
    assert tags["LDAUJ"] == [0.0, 0.0]
    with pytest.raises(ConfigError, match="Ni has 6 eV, but no shell"):
        checked_incar({"LDAUL": {"O": 1}, "LDAUU": {"Ni": 6.0}})
    assert tags["LMAXMIX"] == 4
    assert checked_incar({"LDAUL": {"Ce": 3}}).tags["LMAXMIX"] == 6
    with pytest.raises(ConfigError, match="no value for O"):
        checked_incar({"RWIGS": {"Ni": 1.2}}).for_species(("Ni", "O"))


def test_ase_and_pymatgen_read_what_is_written(tmp_path):
    moments = [2.0] * 20 + [-2.0] * 20 + [0.25]
    given = {
        "ENCUT": 400,
        "LDAUL": {"Ni": 2},
        "LDAUU": {"Ni": 6.25},
        "GGA": "PS",
        "LREAL": "Auto",
        "NCORE": 4,
    }
    tags = {**checked_incar(given).for_species(("Ni", "O")), "ISPIN": 2, "MAGMOM": moments}
    path = tmp_path / "INCAR"
    path.write_text(format_incar(tags))
    by_pymatgen = {**PymatgenIncar.from_file(path), "GGA": "PS"}
    assert {tag: by_pymatgen[tag] for tag in tags} == tags
    reader = GenerateVaspInput()
    reader.read_incar(str(path))
    assert reader.float_params["encut"] == 400
    assert reader.exp_params["ediff"] == 1e-7
    assert reader.list_float_params["magmom"] == moments
    assert (reader.int_params["nsw"], reader.int_params["ibrion"]) == (0, -1)
    assert reader.bool_params["lwave"] is False
    assert reader.special_params["lreal"] == "Auto"
    assert typed_value("MAGMOM", parse_incar(path.read_text())["MAGMOM"]) == moments


def test_a_long_list_goes_on_in_the_next_line():
    moments = [1.0, -1.5] * 60
    text = format_incar({"MAGMOM": moments, "NSW": 0})
    assert max(map(len, text.splitlines())) < 255
    assert PymatgenIncar.from_str(text)["MAGMOM"] == moments
    assert typed_value("MAGMOM", parse_incar(text)["MAGMOM"]) == moments


@pytest.mark.parametrize("name", ["INCAR", "INCAR_2", "INCAR_C2"])
def test_real_files_as_pymatgen_reads_them(shared_data, name):
    path = shared_data / "vasp/inputs" / name
    found, by_pymatgen = parse_incar(path.read_text()), PymatgenIncar.from_file(path)
    assert set(found) == set(by_pymatgen)
    assert set(found) <= set(INCAR_TAGS)
    for tag, value in by_pymatgen.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            assert float(found[tag]) == value


def test_ways_to_the_same_result_are_no_physics():
    one = without_machine({"encut": 400, "NCORE": 4, "algo": "Fast", "NELM": 60, "AMIX": 0.1})
    assert one == {"ENCUT": 400}
