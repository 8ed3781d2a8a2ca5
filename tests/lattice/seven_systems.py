"""Thirty crystals of all seven systems, and how a file may have them: rounded, noisy, turned."""

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal as spacegroup_crystal
from scipy.spatial.transform import Rotation

from tests.lattice.crystals import barium_titanate, quartz, rocksalt, silicon, triclinic, wurtzite

Site = tuple[float, float, float]

_OF_SPACE_GROUP: dict[str, tuple[str, int, list[float], list[Site]]] = {
    "SrTiO3": ("Sr Ti O", 221, [3.905], [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)]),
    "FeS2": ("Fe S", 205, [5.42], [(0, 0, 0), (0.385, 0.385, 0.385)]),
    "FeSi": ("Fe Si", 198, [4.49], [(0.137, 0.137, 0.137), (0.842, 0.842, 0.842)]),
    "graphite": ("C C", 194, [2.46, 2.46, 6.71, 120], [(0, 0, 0.25), (1 / 3, 2 / 3, 0.25)]),
    "MoS2": ("Mo S", 194, [3.16, 3.16, 12.3, 120], [(1 / 3, 2 / 3, 0.25), (1 / 3, 2 / 3, 0.621)]),
    "Bi2Te3": ("Bi Te Te", 166, [4.39, 4.39, 30.5, 120], [(0, 0, 0.4), (0, 0, 0), (0, 0, 0.21)]),
    "calcite": ("Ca C O", 167, [4.99, 4.99, 17.06, 120], [(0, 0, 0), (0, 0, 0.25), (0.257, 0, 0.25)]),
    "LiNbO3": (
        "Li Nb O",
        161,
        [5.15, 5.15, 13.86, 120],
        [(0, 0, 0.279), (0, 0, 0), (0.0477, 0.3433, 0.0634)],
    ),
    "SnO2": ("Sn O", 136, [4.74, 4.74, 3.19], [(0, 0, 0), (0.306, 0.306, 0)]),
    "anatase": ("Ti O", 141, [3.785, 3.785, 9.51], [(0, 0, 0), (0, 0, 0.208)]),
    "chalcopyrite": ("Cu Fe S", 122, [5.29, 5.29, 10.42], [(0, 0, 0), (0, 0, 0.5), (0.257, 0.25, 0.125)]),
    "In": ("In", 139, [3.25, 3.25, 4.95], [(0, 0, 0)]),
    "SnSe": ("Sn Se", 62, [11.5, 4.153, 4.445], [(0.118, 0.25, 0.103), (0.855, 0.25, 0.482)]),
    "Ga": ("Ga", 64, [4.52, 7.66, 4.526], [(0, 0.1549, 0.081)]),
    "KNbO3": (
        "K Nb O O",
        38,
        [3.97, 5.69, 5.72],
        [(0, 0, 0.017), (0.5, 0, 0.5), (0, 0, 0.521), (0.5, 0.253, 0.281)],
    ),
    "Na in Fddd": ("Na", 43, [5.1, 6.2, 4.4], [(0, 0, 0.1)]),
    "ZrO2": (
        "Zr O O",
        14,
        [5.15, 5.21, 5.32, 90, 99.2, 90],
        [(0.275, 0.04, 0.208), (0.07, 0.332, 0.345), (0.45, 0.757, 0.479)],
    ),
    "Ga2O3": (
        "Ga Ga O O O",
        12,
        [12.23, 3.04, 5.8, 90, 103.7, 90],
        [(0.09, 0, 0.795), (0.341, 0, 0.686), (0.164, 0, 0.11), (0.497, 0, 0.256), (0.826, 0, 0.436)],
    ),
    "VO in P2_1": ("V O", 4, [4.1, 4.6, 5.2, 90, 101, 90], [(0.1, 0.2, 0.3), (0.35, 0.1, 0.62)]),
    "MnO in P-1": ("Mn O", 2, [4.0, 4.6, 5.3, 81, 97, 104], [(0.1, 0.2, 0.3), (0.45, 0.62, 0.78)]),
}


def _of_space_group(symbols: str, number: int, cell: list[float], sites: list[Site]) -> Atoms:
    lengths = (3 * cell)[:3]
    angles = [90, 90, cell[3]] if len(cell) == 4 else cell[3:] or [90, 90, 90]
    return spacegroup_crystal(
        symbols.split(), sites, spacegroup=number, cellpar=lengths + angles, primitive_cell=len(cell) > 1
    )


CRYSTALS: dict[str, Atoms] = {
    "Si": silicon(),
    "NaCl": rocksalt(),
    "Al": bulk("Al", "fcc", a=4.05),
    "Fe": bulk("Fe", "bcc", a=2.87, cubic=True),
    "CsCl": bulk("CsCl", "cesiumchloride", a=4.12),
    "CaF2": bulk("CaF2", "fluorite", a=5.46),
    "Mg": bulk("Mg", "hcp", a=3.21, c=5.21),
    "AlN": wurtzite(),
    "quartz": quartz(),
    "BaTiO3": barium_titanate(polar=True),
    "OCN": triclinic(),
    **{name: _of_space_group(*data) for name, data in _OF_SPACE_GROUP.items()},
}


def turned(atoms: Atoms, radians: float, generator: np.random.Generator) -> Atoms:
    """The crystal turned by an angle about any axis."""
    axis = generator.standard_normal(3)
    rotation = Rotation.from_rotvec(radians * axis / np.linalg.norm(axis)).as_matrix()
    return Atoms(
        atoms.numbers, positions=atoms.positions @ rotation.T, cell=atoms.cell.array @ rotation.T, pbc=True
    )


def noisy(atoms: Atoms, largest: float, generator: np.random.Generator) -> Atoms:
    """The crystal with each coordinate of cell vectors and atoms off by up to ``largest``, Å."""
    result = atoms.copy()
    result.set_cell(atoms.cell.array + largest * generator.uniform(-1, 1, (3, 3)), scale_atoms=True)
    result.positions += largest * generator.uniform(-1, 1, atoms.positions.shape)
    return result
