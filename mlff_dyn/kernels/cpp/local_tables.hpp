// Plain views of the tables of the local part; the equations are in local_tables.py.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mlff {

template <typename Real>
struct RadialTable {
    std::ptrdiff_t n_radial;
    std::ptrdiff_t n_polynomials;
    Real cutoff;
    // [n_polynomials][n_radial][2], of the polynomial factor and of its derivative by the distance.
    const Real* coefficients;
};

// Monomials of three sums A of an atom, side by side where the first two are the same.
template <typename Real>
struct CubicTable {
    struct Place {
        std::int32_t sum, slope;  // of a sum A, and of the derivative by it
    };
    std::ptrdiff_t n_pairs;
    const Place* pairs;          // [n_pairs][2]
    const std::int32_t* starts;  // [n_pairs + 1], of their monomials
    const Place* thirds;         // [n_monomials], the last factor
    const Real* coefficients;    // [n_monomials]
    const Real* share;           // [lanes], 1 for atoms that have these monomials, else 0
};

// Atoms, one in each lane, with equally long lists of neighbors. What is missing stands for the central atom of its
// lane, far away. Atoms of several kinds have their coefficients side by side in [lanes].
template <typename Real>
struct LocalBlock {
    bool is_mixed;
    const Real* pair;            // [n_channels], p
    const Real* triple;          // [l_max + 1][n_channels][n_channels], 2 t, symmetric
    const std::int32_t* ends;    // [n_kinds + 1], neighbors of each kind
    const std::int32_t* places;  // [1 + n_neighbors][lanes], kStride * atom of a replica; central atoms first
    const Real* vectors;         // [n_neighbors][3][lanes], to the neighbors of the undisplaced crystal
    std::ptrdiff_t n_cubic;      // one for each kind of atoms
    const CubicTable<Real>* cubic;
};

template <typename Real>
struct LocalProgram {
    RadialTable<Real> radial;
    std::ptrdiff_t l_max;
    std::ptrdiff_t n_kinds;
    const LocalBlock<Real>* blocks;
    std::ptrdiff_t max_neighbors;  // of a block

    std::ptrdiff_t n_harmonics() const { return (l_max + 1) * (l_max + 1); }
    std::ptrdiff_t n_channels() const { return n_kinds * radial.n_radial; }
    // Vectors of what is kept of a neighbor: direction, inverse distance, radial functions, their slopes, harmonics.
    std::ptrdiff_t record_size() const { return 4 + 2 * radial.n_radial + n_harmonics(); }
    // Vectors of scratch memory; a vector holds the numbers of some neighbors too.
    std::ptrdiff_t scratch_size() const {
        return (max_neighbors + 1) * (record_size() + 1) + (2 * n_channels() + 1) * n_harmonics() + radial.n_radial;
    }
};

// Adds the forces of blocks first to last of one replica, and the derivative by the strain of the vectors if virial is
// given; sets the energies of these blocks.
template <typename Real>
using LocalFunction = void (*)(const LocalProgram<Real>&, std::ptrdiff_t first, std::ptrdiff_t last, const Real* u,
                               Real* forces, double* energies, double* virial, void* scratch);

constexpr int kLargestL = 6;

}  // namespace mlff
