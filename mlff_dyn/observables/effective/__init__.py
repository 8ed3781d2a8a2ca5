"""Phonons at a temperature: effective force constants of order 2, and spectra of the modes."""
