// Plain views of the tables of the local part that the kernels of its rows read.
#pragma once

#include "slot_atoms.hpp"
#include "tables.hpp"

namespace mlff {

// Products of three factors; see LocalTables.quadruples and couplings.py.
struct Quadruples {
    struct Product {
        std::int32_t kind, channels[3], degrees[3], function;
    };
    struct Coupling {
        std::int32_t first, last;  // entries
    };
    const std::int32_t* starts;   // [n_kinds + 1], of the products of each kind of central atom
    const Product* products;
    const Coupling* couplings;    // of each product
    const std::int32_t* orders;   // [n_entries][3], place of m in each factor
    const double* weights;        // [n_entries]
    std::ptrdiff_t n_harmonics;   // up to the largest degree of a factor

    std::ptrdiff_t count(std::ptrdiff_t kind) const { return starts[kind + 1] - starts[kind]; }
};

// Derivatives of a product by the sums of its factors.
struct QuadrupleSlopes {
    double factors[3][2 * kLargestL + 1];
};

// The columns of a channel c = (kind, n) are A_c00 times A_c'lm, ordered by l and c' and summed over m, then A_c00 alone.
struct LocalDesign {
    std::ptrdiff_t n_kinds;
    std::ptrdiff_t l_max;
    std::ptrdiff_t n_functions;
    RadialTable<double> radial;
    const std::int32_t* kinds;           // [n_sites]
    const std::int32_t* starts;          // [n_sites + 1]
    const std::int32_t* neighbor_kinds;  // [n_neighbors]
    const double* vectors;               // [n_neighbors][3], at rest and without strain
    std::ptrdiff_t most_neighbors;       // of a site
    const std::int32_t* functions;       // [n_kinds][n_channels][n_columns], -1 for none
    const double* weights;               // [n_channels][n_columns], of the derivative of the first factor
    Quadruples quadruples;

    std::ptrdiff_t n_channels() const { return n_kinds * radial.n_radial; }
    std::ptrdiff_t n_harmonics() const { return (l_max + 1) * (l_max + 1); }
    std::ptrdiff_t n_columns() const { return (l_max + 1) * n_channels() + 1; }
};

// One configuration.
struct LocalFrame {
    std::ptrdiff_t n_cells;
    SlotAtoms neighbor_atoms;
    const double* vectors;        // [n_neighbors][3], strained
    const double* displacements;  // [n_atoms][3]
};

// Sums A of some atoms, [lm][channel] each.
struct LocalSums {
    const std::int32_t* places;  // of each atom among the sums
    double* values;
};

// Rows that are formed together: x, y, z of a force; xx, yy, zz, yz, xz, xy of the virial and the energy of the torus.
constexpr std::ptrdiff_t kForceRows = 3;
constexpr std::ptrdiff_t kVirialRows = 6;
constexpr std::ptrdiff_t kTotalRows = kVirialRows + 1;

constexpr std::ptrdiff_t kPadding = kMaxBytes / sizeof(double);
constexpr std::ptrdiff_t padded(std::ptrdiff_t count) { return (count + kPadding - 1) / kPadding * kPadding; }

// Distances between arrays; whole vectors may be read and written from any place on.
inline std::ptrdiff_t column_stride(const LocalDesign& design) { return padded(design.n_columns()) + kPadding; }
inline std::ptrdiff_t sums_stride(const LocalDesign& design) {
    return padded(design.n_harmonics() * design.n_channels()) + kPadding;
}

// Doubles of all raw columns, of a number of rows.
inline std::ptrdiff_t raw_size(const LocalDesign& design, std::ptrdiff_t n_rows) {
    return design.n_kinds * design.n_channels() * n_rows * column_stride(design);
}

// Doubles of scratch memory.
inline std::ptrdiff_t local_scratch_size(const LocalDesign& design) {
    const std::ptrdiff_t of_neighbors = 3 * design.radial.n_radial + 4 * design.n_harmonics();
    return raw_size(design, kForceRows) + raw_size(design, kTotalRows) + kPadding * of_neighbors +
           4 * padded(design.most_neighbors) + padded(design.radial.n_radial) +
           4 * design.radial.n_radial * design.n_harmonics() + kPadding +
           (4 + 2 * kVirialRows) * column_stride(design);
}

}  // namespace mlff
