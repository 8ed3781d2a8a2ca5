"""i-PI with the force field as its client: forces, energy, quantum kinetic energy, and what goes wrong."""

import contextlib
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.calculators.socketio import SocketIOCalculator
from numpy.typing import NDArray

from mlff_dyn.errors import DataError, SimulationError, UsageError
from mlff_dyn.formats.dynamics_codes.i_pi_client import parse_address, serve
from mlff_dyn.formats.dynamics_codes.i_pi_files import read_supercell, write_i_pi
from mlff_dyn.formats.dynamics_codes.start import DynamicsSettings, start_of
from mlff_dyn.lattice.torus import Torus
from mlff_dyn.model.calculator import ForceFieldCalculator
from mlff_dyn.model.followed_atoms import FollowedAtoms
from mlff_dyn.model.force_field import ForceField
from mlff_dyn.model.harmonic_modes import modes_of_order_2
from tests.formats.exported_force_fields import force_fields, harmonic_springs

HARTREE_EV, BOHR, KB, HBAR = 27.211386, 0.529177, 8.617333e-5, 0.6582120
"""HBAR in eV fs."""


@pytest.fixture
def i_pi() -> str:
    pytest.importorskip("ipi")
    beside = Path(sys.executable).with_name("i-pi")
    found = str(beside) if beside.exists() else shutil.which("i-pi")
    if found is None:
        pytest.skip("i-pi is not on the path")
    return found


@pytest.fixture
def name(tmp_path: Path) -> Iterator[str]:
    """Of a unix socket that no other test has."""
    name = f"mlff-{abs(hash(str(tmp_path)))}"
    yield name
    Path(f"/tmp/ipi_{name}").unlink(missing_ok=True)


def follower(force_field: ForceField, torus: Torus, limit: float = 1.0) -> FollowedAtoms:
    torus = start_of(torus).torus
    return FollowedAtoms(force_field, torus, torus.numbers, limit)


def change(folder: Path, *pairs: tuple[str, str]) -> None:
    path = folder / "input.xml"
    text = path.read_text(encoding="utf-8")
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def run(command: str, folder: Path, followed: FollowedAtoms, address: str) -> NDArray[np.float64]:
    """Run i-PI to its end; its table of properties."""
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([command, "input.xml"], cwd=folder, stdout=log, stderr=log)
        try:
            serve(followed, parse_address(address), wait_seconds=60.0)
            server.wait(60)
        finally:
            server.kill()
    assert server.returncode == 0, (folder / "log").read_text(encoding="utf-8")[-2000:]
    return np.loadtxt(folder / "simulation.out")


@pytest.mark.parametrize("kind", ["unix", "inet"])
def test_dynamics_at_constant_energy(i_pi: str, kind: str, name: str, tmp_path: Path) -> None:
    """i-PI conserves the energy; along its path energy and forces are those of the ASE calculator."""
    force_field, torus = harmonic_springs()
    settings = DynamicsSettings("nve", n_steps=200, sample_every=10, temperature_kelvin=400.0)
    write_i_pi(force_field, torus, tmp_path, settings=settings)
    change(tmp_path, ("</properties>", "</properties><trajectory filename='f'>forces{ev/ang}</trajectory>"))
    if kind == "unix":
        change(tmp_path, ("<address>mlff", f"<address>{name}"))
        address = f"unix:{name}"
    else:
        with socket.socket() as probe:
            probe.bind(("localhost", 0))
            port = probe.getsockname()[1]
        change(tmp_path, ("mode='unix'", "mode='inet'"))
        change(tmp_path, ("<address>mlff</address>", f"<address>localhost</address><port>{port}</port>"))
        address = f"localhost:{port}"
    table = run(i_pi, tmp_path, follower(force_field, torus), address)
    conserved, potential = table[:, 2], table[:, 4]
    assert len(table) == 21
    assert np.ptp(conserved) < 2e-3 * KB * 400.0 * 1.5 * torus.n_atoms
    assert np.ptp(potential) > 30.0 * np.ptp(conserved)
    (positions,), (forces,) = list(tmp_path.glob("simulation.pos*")), list(tmp_path.glob("simulation.f_*"))
    frames = ase.io.read(positions, ":", format="extxyz")
    found = ase.io.read(forces, "::10", format="extxyz")
    for frame, force, energy in zip(frames, found, potential, strict=True):
        frame.set_cell(start_of(torus).box)
        frame.pbc = True
        frame.calc = ForceFieldCalculator(force_field)
        assert energy == pytest.approx(frame.get_potential_energy(), abs=1e-4)
        np.testing.assert_allclose(force.positions, frame.get_forces(), atol=1e-3)


@pytest.mark.slow
def test_path_integrals_of_a_harmonic_crystal(i_pi: str, name: str, tmp_path: Path) -> None:
    """Kinetic energy of P beads, kT/2 sum_modes sum_k w² / (w² + (2 P kT/hbar sin(k pi/P))²).

    The centroid estimator of i-PI gives the rigid shift, which it keeps at rest, its 3/2 kT.
    """
    n_beads, kelvin = 4, 80.0
    force_field, torus = harmonic_springs()
    settings = DynamicsSettings("nvt", kelvin, timestep_femtoseconds=2.0, n_steps=1500, sample_every=2)
    write_i_pi(force_field, torus, tmp_path, settings=settings)
    change(
        tmp_path,
        ("<address>mlff", f"<address>{name}"),
        ("nbeads='1'", f"nbeads='{n_beads}'"),
        ("mode='langevin'", "mode='pile_g'"),
        (">1000</tau>", ">20</tau>"),
    )
    table = run(i_pi, tmp_path, follower(force_field, torus), f"unix:{name}")
    modes = modes_of_order_2(force_field.expansion, force_field.posterior.mean, torus)
    assert modes is not None
    thermal = KB * kelvin
    springs = (2.0 * n_beads * thermal / HBAR * np.sin(np.pi * np.arange(n_beads) / n_beads)) ** 2
    squared = modes.squares[modes.is_vibration][:, None]
    expected = 0.5 * thermal * (np.sum(squared / (squared + springs)) + 3.0)
    classical = 1.5 * torus.n_atoms * thermal
    assert expected > 1.3 * classical
    kinetic = table[50:, 5]
    blocks = kinetic[: len(kinetic) // 20 * 20].reshape(20, -1).mean(axis=1)
    error = blocks.std(ddof=1) / np.sqrt(20)
    assert error < 0.03 * expected
    assert kinetic.mean() == pytest.approx(expected, abs=4.0 * error)


@pytest.mark.parametrize("ensemble", ["nvt", "npt"])
def test_the_other_ensembles(i_pi: str, ensemble: str, name: str, tmp_path: Path) -> None:
    force_field, torus = harmonic_springs()
    settings = DynamicsSettings(ensemble, n_steps=40, sample_every=4, thermostat="bussi", pressure=0.01)
    write_i_pi(force_field, torus, tmp_path, settings=settings)
    change(tmp_path, ("<address>mlff", f"<address>{name}"))
    table = run(i_pi, tmp_path, follower(force_field, torus), f"unix:{name}")
    assert np.isfinite(table).all()
    assert (np.ptp(table[:, 7]) > 0.0) == (ensemble == "npt")


@pytest.mark.parametrize("kind", ["wurtzite", "local"])
def test_energy_forces_and_virial_over_the_socket(kind: str, name: str, tmp_path: Path) -> None:
    """Of a turned cell, asked for by the server of ASE; the structure file says elements and supercell."""
    force_field, torus = force_fields()[kind]
    torus = Torus(torus.crystal, np.array([[0, 2, 1], [2, 0, 0], [0, 0, 1]]))
    write_i_pi(force_field, torus, tmp_path)
    atoms = ase.io.read(tmp_path / "init.xyz")
    torus = start_of(torus).torus
    np.testing.assert_array_equal(read_supercell(tmp_path / "init.xyz"), torus.matrix)
    np.testing.assert_array_equal(atoms.numbers, torus.numbers)
    turn = np.linalg.solve(torus.lattice, atoms.cell.array)
    atoms.positions += 0.03 * np.random.default_rng(1).standard_normal(atoms.positions.shape)
    client = threading.Thread(
        target=serve,
        args=(follower(force_field, torus), parse_address(f"unix:{name}")),
        kwargs={"wait_seconds": 9},
    )
    client.start()
    with SocketIOCalculator(unixsocket=name) as server:
        atoms.calc = server
        found = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress(voigt=False)
    client.join()
    atoms.set_cell(torus.lattice)
    atoms.positions = atoms.positions @ turn.T
    atoms.calc = ForceFieldCalculator(force_field)
    assert found[0] == pytest.approx(atoms.get_potential_energy(), rel=1e-8)
    np.testing.assert_allclose(found[1] @ turn.T, atoms.get_forces(), atol=1e-6)
    np.testing.assert_allclose(turn @ found[2] @ turn.T, atoms.get_stress(voigt=False), atol=1e-8)


def answer(followed: FollowedAtoms, messages: bytes) -> None:
    """Serve somebody who sends these bytes and closes the connection."""
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        listener.listen(1)

        def send() -> None:
            with listener.accept()[0] as connection, contextlib.suppress(ConnectionError):
                connection.sendall(messages)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1 << 16):
                    pass

        peer = threading.Thread(target=send)
        peer.start()
        try:
            serve(followed, parse_address(f"localhost:{listener.getsockname()[1]}"))
        finally:
            peer.join()


def position_message(cell: NDArray[np.float64], positions: NDArray[np.float64]) -> bytes:
    inverse = np.linalg.inv(cell)
    parts = [b"POSDATA     ", (cell.T / BOHR).tobytes(), (inverse.T * BOHR).tobytes()]
    return b"".join([*parts, np.int32(len(positions)).tobytes(), (positions / BOHR).tobytes()])


def test_servers_that_do_not_fit() -> None:
    force_field, torus = force_fields()["wurtzite"]
    start = start_of(torus)
    swapped = start.positions.copy()
    swapped[[0, -1]] = swapped[[-1, 0]]
    answer(follower(force_field, torus), b"STATUS      EXIT        ")
    answer(follower(force_field, torus), b"STATUS      ")
    message = position_message(start.box, start.positions)
    answer(follower(force_field, torus), message + b"GETFORCE    EXIT        ")
    with pytest.raises(DataError, match="sends 15 atoms, the structure has 16"):
        answer(follower(force_field, torus), position_message(start.box, start.positions[:-1]))
    with pytest.raises(DataError, match="atoms in its order"):
        answer(follower(force_field, torus), position_message(start.box, swapped))
    with pytest.raises(DataError, match=r"atoms in its order: the cell is off .* by 30 %"):
        answer(follower(force_field, torus), position_message(1.3 * start.box, 1.3 * start.positions))
    with pytest.raises(DataError, match="protocol of i-PI"):
        answer(follower(force_field, torus), b"GET / HTTP/1.1\r\n\r\n")
    moved = start.positions.copy()
    moved[3, 0] += 0.6
    pattern = r"structure 2 of the server: atom 3 \(..?\) is 0\.5\d+ Å from its site; the limit is 0\.4 Å"
    with pytest.raises(SimulationError, match=pattern):
        answer(
            follower(force_field, torus, 0.4), message + b"GETFORCE    " + position_message(start.box, moved)
        )
    stretched = position_message(1.2 * start.box, 1.2 * start.positions)
    with pytest.raises(SimulationError, match="structure 2 of the server: the cell is off"):
        answer(follower(force_field, torus), message + b"GETFORCE    " + stretched)


@pytest.mark.parametrize(
    "address", ["driver", "unix:", "unix:/tmp/a", "host:", "host:0", "host:70000", ":31415"]
)
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(UsageError, match=re.escape(repr(address))):
        parse_address(address)


def test_no_server(name: str) -> None:
    followed = follower(*force_fields()["wurtzite"])
    with pytest.raises(
        UsageError, match=f"no server listens at the unix socket /tmp/ipi_{name}, after 0.1 s"
    ):
        serve(followed, parse_address(f"unix:{name}"), wait_seconds=0.1)
    with pytest.raises(UsageError, match="no server listens at port 1 of localhost"):
        serve(followed, parse_address("localhost:1"))
    with pytest.raises(UsageError, match="cannot connect to the unix socket"):
        serve(followed, parse_address("unix:" + 200 * "a"))
    with pytest.raises(UsageError, match="cannot connect to port 1 of no"):
        serve(followed, parse_address("no.such.host.invalid:1"))


def test_other_barostats_are_refused(tmp_path: Path) -> None:
    force_field, torus = harmonic_springs()
    settings = DynamicsSettings("npt", barostat_shape="full")
    with pytest.raises(UsageError, match="barostat of shape full"):
        write_i_pi(force_field, torus, tmp_path, settings=settings)
