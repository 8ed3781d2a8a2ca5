// Plain views of the tables of the harmonic kernel; the scheme is in transform_plan.py.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mlff {

// Transforms one factor of one direction of the torus.
struct TransformStage {
    std::int32_t radix;
    std::int32_t n_outer;        // repetitions of the whole stage
    std::int32_t n_groups;       // m: distance of the inputs of a butterfly, in units of n_inner
    std::int32_t n_inner;        // numbers that are treated alike
    std::int32_t first_twiddle;  // [n_groups][radix]
    std::int32_t first_root;     // [radix]
};

template <typename Real>
struct HarmonicTable {
    std::ptrdiff_t n_sites;
    std::ptrdiff_t n_cells;
    std::ptrdiff_t n_packed;  // complex numbers of a cell, a multiple of kStride
    std::ptrdiff_t n_stages;
    const TransformStage* stages;
    const Real* twiddles;  // [][2]
    std::ptrdiff_t n_pairs;
    const std::int32_t* pairs;  // [n_pairs][2]
    const Real* products;       // [n_pairs][3 * n_sites][2][2 * n_packed]
    std::ptrdiff_t largest_radix;

    // Reals of scratch memory: four planes, the rows of one wave vector, and a butterfly.
    std::ptrdiff_t scratch_size() const { return 4 * n_cells * n_packed + 8 * n_packed + 8 * 16 * largest_radix; }
};

// Adds to the padded forces; returns the energy.
template <typename Real>
using HarmonicFunction = double (*)(const HarmonicTable<Real>&, const double* u, double* forces, Real* scratch);

}  // namespace mlff
