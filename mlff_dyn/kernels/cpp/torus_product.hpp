// Harmonic forces on a torus: transform, product at each wave vector, transform back.
#pragma once

#include "torus_transform.hpp"

namespace mlff::MLFF_ISA {

// Displacements of the sites two by two as real and imaginary parts.
template <typename Real>
MLFF_INLINE void pack_sites(const HarmonicTable<Real>& table, const double* u, Planes<Real> z) {
    for (std::ptrdiff_t site = 0; site < table.n_packed / kStride * 2; ++site) {
        Real* plane = (site % 2 == 0 ? z.re : z.im) + kStride * (site / 2);
        const double* atoms = u + kStride * site * table.n_cells;
        for (std::ptrdiff_t cell = 0; cell < table.n_cells; ++cell) {
            Row<Real> row = {};
            if (site < table.n_sites) {
                row = __builtin_convertvector(load_numbers<Row<double>>(atoms + kStride * cell), Row<Real>);
            }
            store_numbers(plane + cell * table.n_packed, row);
        }
    }
}

// Adds the forces; returns their sum with the displacements.
template <typename Real>
MLFF_INLINE double unpack_sites(const HarmonicTable<Real>& table, const double* u, Planes<Real> z, double* forces) {
    Row<double> work = {};
    for (std::ptrdiff_t site = 0; site < table.n_sites; ++site) {
        const Real* plane = (site % 2 == 0 ? z.re : z.im) + kStride * (site / 2);
        const std::ptrdiff_t first = kStride * site * table.n_cells;
        for (std::ptrdiff_t cell = 0; cell < table.n_cells; ++cell) {
            const std::ptrdiff_t place = first + kStride * cell;
            const Row<double> force = __builtin_convertvector(load_numbers<Row<Real>>(plane + cell * table.n_packed), Row<double>);
            work += force * load_numbers<Row<double>>(u + place);
            store_numbers(forces + place, load_numbers<Row<double>>(forces + place) + force);
        }
    }
    return work[0] + work[1] + work[2] + work[3];
}

// Rows of one vector width from first on: f = products * u.
template <typename Vector, typename Real>
MLFF_INLINE void multiply_rows(const Real* products, std::ptrdiff_t n_columns, std::ptrdiff_t n_rows,
                               std::ptrdiff_t first, const Real* u_re, const Real* u_im, Real* f_re, Real* f_im) {
    Complex<Vector> sum = {}, other = {};
    for (std::ptrdiff_t column = 0; column < n_columns; ++column) {
        const Real* own = products + 2 * column * n_rows + first;
        const Vector re = load_numbers<Vector>(own), im = load_numbers<Vector>(own + n_rows);
        sum.re += re * u_re[column];
        other.re += im * u_im[column];
        sum.im += re * u_im[column];
        other.im += im * u_re[column];
    }
    store_numbers(f_re + first, Vector(sum.re - other.re));
    store_numbers(f_im + first, Vector(sum.im + other.im));
}

// Forces at q and -q in place of the displacements.
template <typename Real>
MLFF_INLINE void multiply_pair(const HarmonicTable<Real>& table, std::ptrdiff_t pair, Planes<Real> z, Real* rows) {
    const std::ptrdiff_t n = table.n_packed, n_rows = 2 * n, n_columns = 3 * table.n_sites;
    const std::ptrdiff_t q = table.pairs[2 * pair] * n, opposite = table.pairs[2 * pair + 1] * n;
    Real* u_re = rows;
    Real* u_im = rows + n_rows;
    Real* f_re = rows + 2 * n_rows;
    Real* f_im = rows + 3 * n_rows;
    for (std::ptrdiff_t column = 0; column < n_columns; ++column) {
        const std::ptrdiff_t site = column / 3, k = kStride * (site / 2) + column % 3;
        const Real re = z.re[q + k], im = z.im[q + k], other_re = z.re[opposite + k], other_im = z.im[opposite + k];
        u_re[column] = site % 2 == 0 ? re + other_re : im + other_im;
        u_im[column] = site % 2 == 0 ? im - other_im : other_re - re;
    }
    const Real* products = table.products + 2 * pair * n_columns * n_rows;
    std::ptrdiff_t first = 0;
    for (; first + kLanes<Real> <= n_rows; first += kLanes<Real>) {
        multiply_rows<Lanes<Real>>(products, n_columns, n_rows, first, u_re, u_im, f_re, f_im);
    }
    for (; first < n_rows; first += kStride) {
        multiply_rows<Row<Real>>(products, n_columns, n_rows, first, u_re, u_im, f_re, f_im);
    }
    for (std::ptrdiff_t k = 0; k < n; ++k) {
        const Real even_re = f_re[k], even_im = f_im[k], odd_re = f_re[n + k], odd_im = f_im[n + k];
        z.re[q + k] = even_re - odd_im;
        z.im[q + k] = even_im + odd_re;
        z.re[opposite + k] = even_re + odd_im;
        z.im[opposite + k] = odd_re - even_im;
    }
}

template <typename Real>
static double harmonic_forces(const HarmonicTable<Real>& table, const double* u, double* forces, Real* scratch) {
    const std::ptrdiff_t size = table.n_cells * table.n_packed;
    Real* rest = scratch + 4 * size;
    Real* butterflies = rest + 8 * table.n_packed;
    Planes<Real> here = {scratch, scratch + size}, there = {scratch + 2 * size, scratch + 3 * size};
    pack_sites(table, u, here);
    const Planes<Real> waves = transform(table, here, there, butterflies);
    for (std::ptrdiff_t pair = 0; pair < table.n_pairs; ++pair) multiply_pair(table, pair, waves, rest);
    const Planes<Real> free = waves.re == here.re ? there : here;
    const Planes<Real> back = transform(table, Planes<Real>{waves.im, waves.re}, Planes<Real>{free.im, free.re}, butterflies);
    return -0.5 * unpack_sites(table, u, Planes<Real>{back.im, back.re}, forces);
}

}  // namespace mlff::MLFF_ISA
