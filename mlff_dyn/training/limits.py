"""Numbers that decide how dynamics explore and when a calculation is asked for or accepted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DecisionLimits:
    """How to sample, and what counts as enough; where no other source is named, by convention.

    Attributes
    ----------
    friction_per_femtosecond : float
        Of the Langevin thermostat while exploring and while convergence is checked.
    equilibration_femtoseconds : float
        Start of a trajectory that is not used.
    frame_every_femtoseconds : float
        Between frames whose errors are judged.
    most_steps_unwatched : int
        MD steps after which the energies of a trajectory are looked at, at the latest; displacements are in
        every step. Energies of the equilibration are judged at its end: a crystal that falls from a saddle
        into its well is hot for a moment, and its later frames are worth more.
    start_frame_every_femtoseconds : float
        Between the first structures, which should hardly be correlated.
    label_fraction : float
        Largest displacement of a frame that may be labelled, over the limit of the trusted region.
    frames_before_test : int
        Frames before a temperature that no calculation has tested is labelled.
    steps_per_error : float
        MD steps for each error that is found, over the number of parameters, once there are
        ``frames_before_test`` errors. The error of a frame costs as much as 0.2 to 0.3 steps for each
        parameter (Al, Cu, Si, SnSe; 146 to 687 parameters), so that errors add a fifth to the time of the
        dynamics. Squared errors have autocorrelation times of 40 to 130 fs (Si, Al, Cu, 300 to 900 K), which
        is less than such intervals: no error is wasted on a frame like the one before.
    fixed_cost_of_error : float
        Steps for each error, times the number of parameters and of atoms, for what an error costs whatever
        the expansion: 0.3 ms, 110 and 70 steps of 32 atoms with 17 and 27 parameters (Al), so that their
        errors took two to five times as long as their dynamics.
    least_errors : int
        Fewest errors that the mean of a whole trajectory is made of, whatever they cost.
    enough_snapshots : int
        Fewest snapshots, with two rows per parameter, that tell truncation from lack of data.
    accepted_score : float
        Largest true over expected error of a calculation that counts as predicted.
    confirmed_factor : float
        Error that the last calculation that counts as predicted found, over the mean error that it confirms;
        one within the limit confirms any that is. One that found more says little: after a test with 1.17 %
        of the force c-BAs (GFN1) claimed 0.56 where 0.74 was found.
    predictions_for_truncation : int
        Last frames of dynamics at a temperature that have to be predicted before what the expansion leaves
        out may end the training there: without them nothing tells an error bar that is too small from one
        that holds.
    largest_change : float
        Factor by which truncation by the first half of the data, if that suffices to tell it, and by all of
        them may differ where it is taken for what the expansion leaves out. For Al (EMT) at 300 and 800 K it
        falls from 8.5 % of the force after 4 calculations to 2.6 % after 29: data lacked.
    sudden_factor : float
        Error of a single frame that calls for a calculation, over the limit of the mean error.
    thermal_margin : float
        Largest displacement that is trusted, over the largest one that order 2 predicts; fcc Al (EMT)
        at 800 K reaches 1.4 times that.
    data_margin : float
        The same over the largest displacement of the data.
    largest_fraction_of_bond : float
        Largest displacement that is trusted without data, over the distance of neighbors: half way to the
        next site, an atom belongs to neither.
    start_factor : float
        Kinetic energy over its mean at the start, see `start_at_rest_positions`.
    hot_probability : float
        Probability, by chi-square statistics, below which a kinetic energy is none of equilibrium.
    fastest_atom : float
        Kinetic energy of an atom over kT above which it runs away; of equilibrium one in 1e6 does.
    advised_margin : float
        Displacement limit that a message advises, over the displacement reached.
    energy_margin_sd : float
        A potential energy below that of the crystal at rest by so many standard deviations of equipartition
        is none of a crystal that order 2 calls stable.
    coverage_factor : float
        Dynamics may go beyond the displacements of the data by this factor, in rms or in maximum, before its
        errors count as extrapolated: error bars trained at 300 K were found to hold at 900 K.
    ramp_resolution : float
        Rise of the temperature of a ramp between two errors, at most, over the highest temperature asked
        for; the mean of ``frames_before_test`` errors, which calls, is then one of nearly the same
        temperature.
    ramp_errors_every_femtoseconds : float
        Least time between two errors of a ramp: in it the friction lets the crystal follow the thermostat,
        and errors closer to each other say nothing new.
    most_ramps_out : int
        Ramps that leave the trusted region in vain: above all temperatures asked for, or with a frame that
        is predicted within its error bars. Later ones end where these did, and at the highest temperature
        asked for at the latest.
    most_out_in_vain : int
        Calculations at a temperature, after dynamics left at a limit of the user, that found errors within
        the one asked for. No further one is made. Twice of it costs as many more where the limit is too
        small; half of it gives up where dynamics stays within it by the third time.
    largest_phase_of_step : float
        Time step times the largest angular frequency; 0.8 makes the temperature of that mode 16 % too low.
    """

    friction_per_femtosecond: float = 0.01
    equilibration_femtoseconds: float = 500.0
    frame_every_femtoseconds: float = 20.0
    most_steps_unwatched: int = 50
    start_frame_every_femtoseconds: float = 100.0
    label_fraction: float = 0.8
    frames_before_test: int = 10
    steps_per_error: float = 1.25
    fixed_cost_of_error: float = 2.6e5
    least_errors: int = 50
    enough_snapshots: int = 4
    accepted_score: float = 2.0
    confirmed_factor: float = 1.5
    predictions_for_truncation: int = 2
    largest_change: float = 1.1
    sudden_factor: float = 3.0
    thermal_margin: float = 2.0
    data_margin: float = 1.5
    largest_fraction_of_bond: float = 0.5
    start_factor: float = 2.0
    hot_probability: float = 1.0e-9
    fastest_atom: float = 15.0
    advised_margin: float = 1.25
    energy_margin_sd: float = 5.0
    coverage_factor: float = 2.0
    ramp_resolution: float = 0.01
    ramp_errors_every_femtoseconds: float = 100.0
    most_ramps_out: int = 2
    most_out_in_vain: int = 3
    largest_phase_of_step: float = 0.8

    def steps(self, femtoseconds: float, timestep_femtoseconds: float) -> int:
        """MD steps in a time, one at least."""
        return max(1, round(femtoseconds / timestep_femtoseconds))

    def steps_between_errors(self, n_parameters: int, n_atoms: int, n_steps: int) -> int:
        """MD steps between the errors of a trajectory of so many steps."""
        fixed = self.fixed_cost_of_error / (n_parameters * n_atoms)
        return min(round(max(self.steps_per_error * n_parameters, fixed)), n_steps // self.least_errors)


LIMITS = DecisionLimits()


@dataclass(frozen=True)
class PoolLimits:
    """How many frames are compared with each other.

    Attributes
    ----------
    most_frames : int
        Evenly spaced ones of longer trajectories, in which neighbors hardly differ; twice as many take twice
        the time and change the expected error after the choice by less than its own error.
    most_bytes : int
        Of their information matrices, which hold half the square of the number of parameters each.
    """

    most_frames: int = 400
    most_bytes: int = 2**30

    def n_frames(self, n_parameters: int) -> int:
        """Largest number of frames of a model."""
        return max(1, min(self.most_frames, self.most_bytes // (4 * n_parameters * (n_parameters + 1))))


POOL_LIMITS = PoolLimits()
