"""What makes two runs alike: the digest of settings."""

import pytest

from mlff_dyn.engines.vasp.settings import program_name, settings_digest

TITLES = ("PAW_PBE Ni 06Sep2000", "PAW_PBE O 08Apr2002")
TAGS = {
    "ENCUT": "520.00000000",
    "ISMEAR": "0",
    "SIGMA": "0.05000000",
    "PREC": "accura",
    "LDAU": "T",
    "LDAUTYPE": "2",
    "LDAUL": "2 -1",
    "LDAUU": "6.0 0.0",
    "LDAUJ": "0.0 0.0",
}


def digest(tags: dict[str, str] = TAGS, titles: tuple[str, ...] = TITLES, n: int = 512, **more: str) -> str:
    return settings_digest({**tags, **more}, titles, kpoints_times_atoms=n, charge=0.0)


@pytest.mark.parametrize(
    "same",
    [
        {"NCORE": "4", "NSW": "100", "IBRION": "0", "SYSTEM": "another", "NELM": "200", "ALGO": "All"},
        {"PREC": "Accurate"},
        {"ISPIN": "1", "LASPH": ".FALSE.", "METAGGA": "None", "GGA": "--", "IVDW": "0"},
        {"GGA": "PE"},
        {"ENCUT": "520.0"},
        {"LDAUL": "2 0"},
    ],
)
def test_what_results_do_not_depend_on_does_not_count(same: dict[str, str]) -> None:
    assert digest(**same) == digest()


@pytest.mark.parametrize(
    "other",
    [
        {"ENCUT": "500"},
        {"GGA": "PS"},
        {"METAGGA": "R2SCAN"},
        {"IVDW": "12"},
        {"ISPIN": "2"},
        {"LNONCOLLINEAR": "T"},
        {"SIGMA": "0.1"},
        {"ISMEAR": "1"},
        {"PREC": "Normal"},
        {"LREAL": "Auto"},
        {"LDAUU": "5.0 0.0"},
        {"LDAU": "F"},
        {"LHFCALC": "T", "AEXX": "0.25"},
    ],
)
def test_what_results_depend_on_counts(other: dict[str, str]) -> None:
    assert digest(**other) != digest()


def test_species_may_be_in_any_order_and_other_pseudopotentials_count() -> None:
    turned = {**TAGS, "LDAUL": "-1 2", "LDAUU": "0.0 6.0"}
    assert digest(turned, TITLES[::-1]) == digest()
    assert digest(titles=("PAW_PBE Ni_pv 06Sep2000", TITLES[1])) != digest()


def test_smearing_width_of_tetrahedra_does_not_count() -> None:
    assert digest(ISMEAR="-5", SIGMA="0.2") == digest(ISMEAR="-5")


def test_density_of_kpoints_and_charge_count() -> None:
    assert digest(n=1728) != digest()
    neutral = settings_digest(TAGS, TITLES, kpoints_times_atoms=512, charge=1e-7)
    charged = settings_digest(TAGS, TITLES, kpoints_times_atoms=512, charge=1.0)
    assert neutral == digest() != charged


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("6.4.2 20Jul23", "VASP 6.4.2"),
        (" vasp.5.2.11 01Dec10 complex", "VASP 5.2.11"),
        ("4.6", "VASP 4.6"),
        ("", None),
    ],
)
def test_versions_are_found(text: str, name: str | None) -> None:
    assert program_name(text) == name
