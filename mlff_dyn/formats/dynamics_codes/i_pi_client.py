"""A client of i-PI, or of another program with its protocol: gets cell and positions, answers with forces.

The protocol is that of ASE's `SocketClient`; what is added are the force field that follows its atoms, and
messages for what may go wrong.
"""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase.calculators.socketio import IPIProtocol, SocketClient, actualunixsocketname
from ase.parallel import world

from mlff_dyn.errors import DataError, MlffError, UsageError

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    from mlff_dyn.model.followed_atoms import FollowedAtoms

_RETRY_SECONDS = 0.2


@dataclass(frozen=True)
class Address:
    """Where the server listens: on a unix socket of a name, or on a port of a host.

    Attributes
    ----------
    host : str
    port : int
    name : str or None    of a unix socket, /tmp/ipi_NAME
    """

    host: str = ""
    port: int = 0
    name: str | None = None

    def __str__(self) -> str:
        if self.name is not None:
            return f"the unix socket {actualunixsocketname(self.name)}"
        return f"port {self.port} of {self.host}"


def parse_address(text: str) -> Address:
    """Read ``unix:NAME`` or ``HOST:PORT``.

    Raises
    ------
    UsageError
        If it is neither.

    Examples
    --------
    >>> parse_address("unix:driver")
    Address(host='', port=0, name='driver')
    >>> str(parse_address("localhost:31415"))
    'port 31415 of localhost'
    """
    host, _, last = text.rpartition(":")
    if host == "unix" and last and "/" not in last:
        return Address(name=last)
    if host and host != "unix" and last.isdecimal() and 0 < int(last) < 2**16:
        return Address(host=host, port=int(last))
    raise UsageError(
        f"the address {text!r} is neither unix:NAME nor HOST:PORT",
        fix="take the address of <ffsocket> in the input of i-PI: unix:NAME for mode='unix'",
    )


def serve(followed: FollowedAtoms, address: Address, *, wait_seconds: float = 0.0) -> float:
    """Answer a server until it ends, or closes the connection.

    Parameters
    ----------
    followed : FollowedAtoms
    address : Address
    wait_seconds : float
        How long to wait for a server that is not there yet.

    Returns
    -------
    float
        Structures a second, from the first to the last.

    Raises
    ------
    UsageError
        If there is no server.
    DataError
        If it sends other atoms, or not what the protocol has.
    SimulationError
        If an atom or the cell left the trusted region.
    """
    client = _connect(followed, address, wait_seconds)
    stand_in = _StandIn(len(followed.numbers))
    try:
        for _ in client.irun(stand_in, use_stress=True):
            pass
    except (AssertionError, KeyError, UnicodeDecodeError) as error:
        raise DataError(
            f"the server at {address} does not keep to the protocol of i-PI",
            fix="look into its log; i-PI 3 and ASE's SocketIOCalculator do",
        ) from error
    except ConnectionError:
        pass
    finally:
        client.close()
    return client.per_second


class _StandIn:
    """What `SocketClient` sets cell and positions of."""

    pbc = (True, True, True)

    def __init__(self, n_atoms: int) -> None:
        self.cell = np.zeros((3, 3))
        self.positions = np.zeros((n_atoms, 3))


class _Protocol(IPIProtocol):  # type: ignore[misc]
    """Refuses another number of atoms."""

    n_atoms = 0

    def recvposdata(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        cell, inverse, positions = super().recvposdata()
        if len(positions) != self.n_atoms:
            raise DataError(
                f"the server sends {len(positions)} atoms, the structure has {self.n_atoms}",
                fix="start i-PI from the file that is given as --structure",
            )
        return cell, inverse, positions


class _Client(SocketClient):  # type: ignore[misc]
    """Asks the force field once for each structure."""

    def __init__(self, connection: socket.socket, followed: FollowedAtoms) -> None:
        # That of ASE connects by itself, and leaves the socket open where it fails.
        self.comm = world
        self.protocol = _Protocol(connection)
        self.protocol.n_atoms = len(followed.numbers)
        self.log = self.protocol.log
        self.closed = False
        self.state = "READY"
        self._followed = followed
        self._first = self._last = 0.0

    @property
    def per_second(self) -> float:
        n_more = self._followed.n_evaluations - 1
        return n_more / max(self._last - self._first, 1e-9) if n_more > 0 else 0.0

    def calculate(
        self,
        atoms: Atoms,
        use_stress: bool,  # noqa: ARG002 (the virial is always sent)
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        is_first = self._followed.n_evaluations == 0
        try:
            found = self._followed.evaluate(atoms.cell, atoms.positions)
        except MlffError as error:
            if is_first and isinstance(error, DataError):
                raise DataError(
                    "the first structure of the server is not that of --structure with atoms in its order: "
                    f"{error.message}",
                    fix="start i-PI from the same file",
                ) from error
            step = self._followed.n_evaluations + 1
            raise type(error)(f"structure {step} of the server: {error.message}", fix=error.fix) from error
        self._last = time.perf_counter()
        self._first = self._last if is_first else self._first
        return found.energy, found.forces, found.virial


def _connect(followed: FollowedAtoms, address: Address, wait_seconds: float) -> _Client:
    end = time.monotonic() + wait_seconds
    while (connection := _connection(address)) is None:
        if time.monotonic() >= end:
            raise UsageError(
                f"no server listens at {address}, after {wait_seconds:g} s",
                fix="start i-pi input.xml first, or wait longer with --wait SECONDS",
            )
        time.sleep(_RETRY_SECONDS)
    return _Client(connection, followed)


def _connection(address: Address) -> socket.socket | None:
    """Connect, or return None where nobody listens yet."""
    with ExitStack() as stack:
        try:
            if address.name is None:
                connection = stack.enter_context(socket.create_connection((address.host, address.port)))
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            else:
                connection = stack.enter_context(socket.socket(socket.AF_UNIX))
                connection.connect(actualunixsocketname(address.name))
        except (FileNotFoundError, ConnectionError):
            return None
        except OSError as error:
            raise UsageError(
                f"cannot connect to {address}: {error.strerror or error}", fix="correct the address"
            ) from error
        stack.pop_all()
        return connection
