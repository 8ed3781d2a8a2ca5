"""What is expected of noise and prior before there are data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Hyperpriors:
    """Numbers that decide where data tell little.

    Where no other source is named, a number is a convention: a round value of the right size.

    How results change when one of them is halved or doubled is measured by `python -m
    benchmarks.accuracy --only constants`, with two and eight calculations of copper (EMT) and of silicon
    (Stillinger-Weber), tests at the training temperature and above. The force error moves by 2 % of itself at
    most (`weight_power`), the rms of error over predicted error by 4 % at the training temperature, and
    above it by 18 % with `exponent_sds`, 7 % with `weight_power` and 4 % with any other. The scan does not
    exercise `guess_scale_sd` (a guess), `fewest_earlier`, `early_end` and `unseen_gain` (data that grow),
    `coherence` (energies), nor `most_held` and `noise_hint_relative` (fewer rows than parameters).

    Attributes
    ----------
    floor_relative : float
        Center of the prior of the noise floor of each kind of rows, over the rms of their targets.
    floor_log_sd : float
        Width of that prior for forces, natural logarithm.
    exponent_sds : tuple of float
        Width of the prior of the growth exponent of the truncation, below and above its center.
    exponent_spread : float
        Half the distance of the exponents of what a local part leaves out. With 0, c-BAs trained at 300 K
        errs 1.4 times as much at 900 K as expected, and EMT copper trained at 600 K 1.2 times at 300 K; no
        single exponent mends both. Half of it: the rms of error over predicted error rises by 11 % at 900 K
        (c-BAs) and 6 % at 300 K (copper); twice: it falls by 28 and 17 %. At the temperature of the training
        it moves by 0.4 %, the force error by 0.1 %.
    neighborhood_exponent_sd : float
        Width of the prior of the exponent of the neighborhood.
    start_far_share, start_relative : float
        Where the search for the far share, and for the truncation over the rms force, begins.
    weight_power : float
        Power of the neighborhood factor in the weights of a fit; 0 weights all atoms of a frame alike, 1 by
        their noise.
    kind_log_sd, kind_log_range : float
        Width of the prior, and half range of the search, of floor and truncation of energies and stresses,
        natural logarithm.
    residual_decay : float
        Part of a prior sd that does not decay with distance.
    smallest_variance : float
        Floor of prior variances, over the largest of the block; keeps the precision well conditioned.
    scale_log_range : tuple of float
        Range of the search for prior scales about their start, natural logarithm.
    late_start_log : float
        How far below its first guess a scale that few data may do without is started a second time (natural
        logarithm). From one calculation of c-BAs, one of two searches from the first guess ends 48 lower in
        the log evidence, and errs by 1.5 instead of 1.1 %; from three of copper (EMT) 198 lower, and by 0.28
        instead of 0.13 %.
    few_rows : float
        Rows over parameters below which that is done. Of the double well of the benchmarks, with 4.1 rows a
        parameter, the first search ends 72 lower. Twelve searches from random starts (copper, aluminum,
        silicon, c-BAs, double well) end higher than both by 1.3 at most, once by 38.
    start_decay, largest_decay : float
        Where the search for a decay begins and ends, 1/Å.
    guess_scale_sd : float
        Prior sd of the factor on what a cheaper source suggests: cheap sources are up to 40 % too soft.
    most_held : int
        Most residuals that hold the noise up where rows are fewer than parameters.
    noise_hint_relative : float
        Smallest noise expected where rows are fewer than parameters, over the rms force.
    early_end : float
        Tolerance of a search that begins where that of fewer configurations ended, over that of a first one.
    unseen_gain : float
        Gain in log evidence that the last step of such a search promises at most. Its end is not evaluated:
        with 0.1, refits of SnSe (751 parameters) evaluate 3 instead of 3.5 times, with 0.3 2.3 times, but
        then end up to 1 lower (1195 parameters).
    coherence : float
        Part of the energy that left-out forces add up to along the paths of the atoms, of what they could at
        most, that has one sign in all configurations.
    most_scored_atoms : int
        About how many atoms of a held-out configuration are predicted.
    most_held_out : int
        Most configurations that are held out to calibrate the errors.
    fewest_earlier : int
        Fewest configurations from which on a fit begins where that of fewer ended. It begins anew wherever
        their number has grown by a quarter of 2^k: from the maximum that eight calculations of a double well
        led to, that of fifteen was never found (log evidence 166 higher, error 2.64 instead of 2.94 %).
    """

    floor_relative: float = 1e-4
    floor_log_sd: float = 1.0
    exponent_sds: tuple[float, float] = (0.15, 0.3)
    exponent_spread: float = 0.8
    neighborhood_exponent_sd: float = 1.0
    start_far_share: float = 0.5
    start_relative: float = 0.05
    weight_power: float = 0.2
    kind_log_sd: float = 1.0
    kind_log_range: float = 12.0
    residual_decay: float = 1e-6
    smallest_variance: float = 1e-11
    scale_log_range: tuple[float, float] = (-9.0, 12.0)
    late_start_log: float = 4.0
    few_rows: float = 8.0
    start_decay: float = 2.0
    largest_decay: float = 7.0
    guess_scale_sd: float = 0.3
    most_held: int = 10
    noise_hint_relative: float = 0.02
    early_end: float = 3.0
    unseen_gain: float = 0.1
    coherence: float = 0.3
    most_scored_atoms: int = 100
    most_held_out: int = 8
    fewest_earlier: int = 8


HYPERPRIORS = Hyperpriors()
