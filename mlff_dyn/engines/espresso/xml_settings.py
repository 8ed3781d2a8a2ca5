"""Settings in the XML files of pw.x."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlff_dyn.engines.espresso.settings import (
    SAWTOOTH_FIELD,
    PwSettings,
    file_name,
    iso_date,
    mesh_of_weights,
    plain_version,
    short_dispersion,
    short_functional,
    short_smearing,
    uniform_field,
)
from mlff_dyn.units import HARTREE_EV

if TYPE_CHECKING:
    from collections.abc import Mapping
    from xml.etree.ElementTree import Element

_RYDBERG = 2.0  # Hartree
_LARGEST_HARTREE = 0.7  # U of 19 eV


def parse_xml_settings(sections: Mapping[str, Element]) -> PwSettings:
    """Read the settings of a run from its sections ``general_info`` and ``input``, if they are there."""
    given = sections.get("input")
    if given is None:
        return PwSettings()
    info = sections.get("general_info")
    creator = info.find("creator") if info is not None else None
    created = info.find("created") if info is not None else None
    files = {
        each.get("name", ""): each.findtext("pseudo_file", "")
        for each in given.iterfind("atomic_species/species")
    }
    functional, exx = (
        short_functional(given.findtext("dft/functional", "unknown")),
        given.find("dft/hybrid/exx_fraction"),
    )
    fraction = None if exx is None else as_number(exx.text)
    return PwSettings(
        functional=functional if fraction is None else f"{functional} with {fraction:g} EXX",
        wave_function_cutoff_rydberg=_rydberg(given.findtext("basis/ecutwfc")),
        density_cutoff_rydberg=_rydberg(given.findtext("basis/ecutrho")),
        kpoints_times_atoms=_kpoints_times_atoms(given),
        smearing=_smearing(given),
        spin=_spin(given),
        hubbard_ev=_hubbard(given),
        charge=round(as_number(given.findtext("bands/tot_charge")) or 0.0, 2),
        others=_others(given),
        pseudopotentials={label: file_name(path) for label, path in sorted(files.items())},
        version=None if creator is None else plain_version(creator.get("VERSION", "")),
        date=None if created is None else iso_date(created.get("DATE", ""), created.get("TIME", "")),
    )


def as_number(text: str | None) -> float | None:
    """Return a number, None where there is none."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _rydberg(text: str | None) -> float | None:
    value = as_number(text)
    return None if value is None else round(_RYDBERG * value, 4)


def _kpoints_times_atoms(given: Element) -> int | None:
    """Points of the mesh times atoms."""
    atoms = given.findall("atomic_structure/atomic_positions/atom")
    points = given.find("k_points_IBZ")
    if points is None or not atoms:
        return None
    mesh = points.find("monkhorst_pack")
    if mesh is not None:
        counts = [as_number(mesh.get(f"nk{i}")) for i in (1, 2, 3)]
        number = None if None in counts else int((counts[0] or 1) * (counts[1] or 1) * (counts[2] or 1))
    else:
        weights = [as_number(point.get("weight")) or 0.0 for point in points.iterfind("k_point")]
        number = mesh_of_weights(weights) if weights else None
    return None if number is None else number * len(atoms)


def _smearing(given: Element) -> str | None:
    found = given.find("bands/smearing")
    width = None if found is None else as_number(found.get("degauss"))
    if found is not None and width is not None:
        return short_smearing(found.text or "", _RYDBERG * width)
    return "tetrahedra" if given.findtext("bands/occupations", "").startswith("tetrahedra") else None


def _spin(given: Element) -> str:
    def is_set(name: str) -> bool:
        return given.findtext(f"spin/{name}", "false").strip() == "true"

    if is_set("spinorbit"):
        return "spin-orbit"
    return "noncollinear" if is_set("noncolin") else "collinear" if is_set("lsda") else "none"


def _hubbard(given: Element) -> dict[str, float]:
    """U of each species, eV; some versions write it in Ha, where it is less than 1."""
    found = {
        each.get("specie", ""): as_number(each.text) or 0.0 for each in given.iterfind("dft/dftU/Hubbard_U")
    }
    in_ev = {species: u if abs(u) > _LARGEST_HARTREE else u * HARTREE_EV for species, u in found.items()}
    return {species: round(u, 4) for species, u in sorted(in_ev.items()) if u}


def _others(given: Element) -> tuple[str, ...]:
    found = []
    for path in ("dft/vdW/vdw_corr", "dft/vdW/dftd3"):
        correction = (given.findtext(path) or "").strip().lower()
        if path.endswith("vdw_corr") and correction not in ("", "none"):
            found.append(short_dispersion(correction))
    field = given.find("electric_field")
    kind = "" if field is None else field.findtext("electric_potential", "").strip().lower()
    if field is not None and kind.startswith("homog"):
        vector = [as_number(word) or 0.0 for word in field.findtext("electric_field_vector", "").split()]
        found.append(uniform_field(vector))
    elif kind.startswith("saw"):
        found.append(SAWTOOTH_FIELD)
    return tuple(found)
