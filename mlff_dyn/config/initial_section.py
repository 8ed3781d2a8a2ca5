"""Section `training.initial` of the configuration."""

from typing import Literal

from pydantic import Field

from mlff_dyn.config.fields import Integer, Real
from mlff_dyn.config.section import Section


class InitialConfig(Section):
    """The first structures that are labelled, before any molecular dynamics."""

    kind: Literal["rattle", "springs", "thermal"] | None = Field(
        default=None,
        description="`rattle`: independent normal displacements; `springs`: thermal motion of a crystal of "
        "springs between neighbors; `thermal`: the first one rattled, the others by the phonons of what is "
        "known by then, temperature after temperature; null: `springs` for an observable, else `rattle`.",
    )
    statistics: Literal["classical", "quantum"] = Field(
        default="classical", description="Amplitudes of these phonons."
    )
    n: Integer | None = Field(
        default=None, ge=1, description="Number of structures; null: 2 for an observable, else 3."
    )
    sd_angstrom: Real = Field(
        default=0.02, gt=0.0, description="Standard deviation of a displacement component."
    )

    def resolved(self, *, is_observed: bool) -> "InitialConfig":
        """Return the section with the kind and number that suit a criterion where none are given.

        A conductivity depends on long waves, of which independent displacements tell little: the logarithm of
        that of BAs (SevenNet-0) errs by 0.12 (rms of twenty trainings) instead of 0.27 (ten) after the first
        calculation. Two of them leave a small budget to thermal motion: after four calculations it errs by
        0.06 to 0.07 with two, by 0.09 with three of them.

        Parameters
        ----------
        is_observed : bool
            Whether the training is for an observable.
        """
        suits = {"kind": "springs", "n": 2} if is_observed else {"kind": "rattle", "n": 3}
        given = {name: value for name, value in self.model_dump().items() if value is not None}
        return InitialConfig(**{**suits, **given})
