"""What engines that start a program of their own have in common."""

from __future__ import annotations

import os
import shlex
import shutil
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlff_dyn.engines.command import CommandRunner, shell_line
from mlff_dyn.engines.profile import checked_texts, checked_timeout_seconds
from mlff_dyn.errors import ConfigError, EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlff_dyn.engines.base import EngineResult


class ProgramEngine(ABC):
    """A program in a directory, which reads its input there and prints its result.

    Parameters
    ----------
    profile : mapping
        ``command`` (the program with its launcher, no shell), ``environment``, ``timeout_minutes``.
    program : sequence of str
        What the name of the program begins with, which is the default of ``command``, and its arguments.
    output : str
        Name of the file that takes what it prints.
    environment : mapping of str to str
        Further variables.
    """

    def __init__(
        self, profile: Mapping[str, Any], program: Sequence[str], output: str, environment: Mapping[str, str]
    ) -> None:
        self._program, self._arguments, self._output = program[0], program[1:], output
        self._command = split_command(
            profile.get("command", self._program), fix=f"like mpirun -np 8 {self._program}"
        )
        self._environment = {**checked_texts(profile, "engine.profile", "environment"), **environment}
        self._runner = CommandRunner(self._environment, checked_timeout_seconds(profile))

    @abstractmethod
    def read_result(self, directory: Path) -> EngineResult:
        """Read a finished calculation."""

    def find_programs(self) -> list[str]:
        """Return the paths of the launcher, if there is one, and of the program.

        Raises
        ------
        EngineError
            If one cannot be found.
        """
        others = (word for word in self._command[1:] if Path(word).name.startswith(self._program))
        fix = f"install it, or give the full path of {self._program}"
        return locate_programs([self._command[0], *others], self._environment, fix=fix)

    def command_line(self) -> str:
        """Return the command that runs the program."""
        words = [*self._command, *self._arguments]
        return shell_line(words, self._environment, stdout=self._output, stderr=f"{self._program}.err")

    def run_and_read(self, directory: Path) -> None:
        """Run the program, and refuse a result that cannot be read.

        Raises
        ------
        EngineError
            If it cannot be started or ends badly; the message has the exit status.
        """
        words = [*self._command, *self._arguments]
        status = self._runner.run(words, directory, stdout=self._output, stderr=f"{self._program}.err")
        try:
            self.read_result(directory)
        except EngineError as error:
            if status == 0:
                raise
            raise EngineError(f"{error.message} (exit status {status})", fix=error.fix) from error

    def settle(self, directory: Path) -> None:
        """Wait for a program that outlived the command that started it."""
        self._runner.settle(directory)

    def stop(self) -> None:
        """End all that runs."""
        self._runner.stop()


def read_output(path: Path) -> str:
    """Return the text of a file that a program has written, or should have.

    Raises
    ------
    EngineError
        If it cannot be read.
    """
    try:
        return path.read_text(errors="replace")
    except OSError as error:
        raise EngineError(f"{path}: {error.strerror}", fix="run the same command again") from error


def split_command(given: object, *, fix: str) -> list[str]:
    """Return the words of ``engine.profile.command``.

    Raises
    ------
    ConfigError
        If there are none, or a quote is open.
    """
    try:
        words = shlex.split(given) if isinstance(given, str) else []
    except ValueError as error:
        raise ConfigError(f"engine.profile.command: {given!r}: {error}", fix="close the quotes") from error
    if not words:
        raise ConfigError("engine.profile.command: a command expected", fix=fix)
    return words


def locate_programs(words: Sequence[str], environment: Mapping[str, str], *, fix: str) -> list[str]:
    """Return the paths of programs that a command names.

    Raises
    ------
    EngineError
        If one cannot be found.
    """
    path = environment.get("PATH", os.environ.get("PATH"))
    found = {word: shutil.which(word, path=path) for word in words}
    for word, place in found.items():
        if place is None:
            raise EngineError(f"engine.profile.command: program {word} cannot be found", fix=fix)
    return [str(place) for place in found.values()]
