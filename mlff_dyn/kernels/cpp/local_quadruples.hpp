// Rows of products of three sums A. As in local_rows.hpp, each atom collects its own: as the center of its neighbors,
// and as a neighbor of theirs.
#pragma once

#include "local_neighbors.hpp"

namespace mlff::MLFF_ISA {

// x, y, z and nothing.
typedef double Axes __attribute__((vector_size(32)));

MLFF_INLINE double derive_product(const LocalDesign& design, std::ptrdiff_t number, const double* sums,
                                  QuadrupleSlopes& slopes) {
    const Quadruples::Product& product = design.quadruples.products[number];
    const double* factors[3];
    for (int k = 0; k < 3; ++k) {
        const std::ptrdiff_t l = product.degrees[k];
        factors[k] = sums + l * l * design.n_channels() + product.channels[k];
        for (std::ptrdiff_t m = 0; m <= 2 * l; ++m) slopes.factors[k][m] = 0.0;
    }
    double value = 0.0;
    const Quadruples::Coupling range = design.quadruples.couplings[number];
    for (std::int32_t entry = range.first; entry < range.last; ++entry) {
        const std::int32_t* m = design.quadruples.orders + 3 * entry;
        const double weight = design.quadruples.weights[entry];
        const double a = factors[0][m[0] * design.n_channels()], b = factors[1][m[1] * design.n_channels()],
                     c = factors[2][m[2] * design.n_channels()];
        slopes.factors[0][m[0]] += weight * b * c;
        slopes.factors[1][m[1]] += weight * a * c;
        slopes.factors[2][m[2]] += weight * a * b;
        value += weight * a * b * c;
    }
    return value;
}

// Derivatives of g_n Y_lm by the position of a neighbor; out[n][lm].
MLFF_INLINE void derive_functions(const LocalDesign& design, const Neighbor& neighbor, Axes* out) {
    constexpr int n_lanes = kLanes<double>;
    const Axes direction = {neighbor.direction[0], neighbor.direction[1], neighbor.direction[2], 0.0};
    for (std::ptrdiff_t n = 0; n < design.radial.n_radial; ++n) {
        const Axes along = direction * neighbor.slopes[n * n_lanes];
        const double across = neighbor.by_radius[n * n_lanes];
        for (std::ptrdiff_t k = 0; k < design.quadruples.n_harmonics; ++k) {
            const double* gradient = neighbor.gradients + 3 * k * n_lanes;
            const Axes turning = {gradient[0], gradient[n_lanes], gradient[2 * n_lanes], 0.0};
            *out++ = along * neighbor.harmonics[k * n_lanes] + turning * across;
        }
    }
}

// Derivative of a product by the position of a neighbor of a kind, which the central atom sees in the direction of the
// functions or, where the sign is -1, in the opposite one.
MLFF_INLINE Axes product_slope(const LocalDesign& design, std::ptrdiff_t number, const QuadrupleSlopes& slopes,
                               std::ptrdiff_t kind, const Axes* functions, double sign_of_odd) {
    const Quadruples::Product& product = design.quadruples.products[number];
    const std::ptrdiff_t first = kind * design.radial.n_radial;
    Axes result = {};
    for (int k = 0; k < 3; ++k) {
        const std::ptrdiff_t n = product.channels[k] - first, l = product.degrees[k];
        if (n < 0 || n >= design.radial.n_radial) continue;
        const Axes* function = functions + n * design.quadruples.n_harmonics + l * l;
        Axes sum = {};
        for (std::ptrdiff_t m = 0; m <= 2 * l; ++m) sum += slopes.factors[k][m] * function[m];
        result += (l % 2 ? sign_of_odd : 1.0) * sum;
    }
    return result;
}

// Adds slope x vector to the virial xx, yy, zz, yz, xz, xy of a function.
MLFF_INLINE void add_symmetric(const Axes& slope, const double* vector, double* totals, std::ptrdiff_t n_functions) {
    constexpr int first[] = {0, 1, 2, 1, 0, 0}, second[] = {0, 1, 2, 2, 2, 1};
    for (std::ptrdiff_t row = 0; row < kVirialRows; ++row) {
        const int a = first[row], b = second[row];
        totals[row * n_functions] += 0.5 * (slope[a] * vector[b] + slope[b] * vector[a]);
    }
}

// The same arguments as local_rows; slopes[n_needed][most] is memory for the atoms that have sums.
static void quadruple_rows(const LocalDesign& design, const LocalFrame& frame, const LocalSums& sums,
                           std::ptrdiff_t n_atoms, const std::int32_t* atoms, std::ptrdiff_t n_needed,
                           const std::int32_t* needed, std::ptrdiff_t most, QuadrupleSlopes* slopes, double* rows,
                           double* totals, void* scratch) {
    Memory memory = {static_cast<double*>(scratch)};
    const NeighborLanes lanes(design, memory);
    Axes* functions = reinterpret_cast<Axes*>(memory.take(4 * design.radial.n_radial * design.n_harmonics()));
    const Quadruples& quadruples = design.quadruples;
    const auto kind_of = [&](std::ptrdiff_t atom) -> std::ptrdiff_t { return design.kinds[atom / frame.n_cells]; };
    for (std::ptrdiff_t place = 0; place < n_needed; ++place) {
        const std::ptrdiff_t first = quadruples.starts[kind_of(needed[place])];
        const double* values = sums.values + place * sums_stride(design);
        for (std::ptrdiff_t k = 0; k < quadruples.count(kind_of(needed[place])); ++k) {
            derive_product(design, first + k, values, slopes[place * most + k]);
        }
    }
    for (std::ptrdiff_t place = 0; place < n_atoms; ++place) {
        const std::ptrdiff_t atom = atoms[place], kind = kind_of(atom);
        double* row = rows + kForceRows * place * design.n_functions;
        lanes.for_each(frame, atom, [&](const Neighbor& neighbor) {
            derive_functions(design, neighbor, functions);
            const std::ptrdiff_t other = design.neighbor_kinds[neighbor.number];
            const auto add = [&](std::ptrdiff_t center, std::ptrdiff_t end, std::ptrdiff_t at, double sign_of_odd) {
                const QuadrupleSlopes* own = slopes + sums.places[at] * most;
                for (std::ptrdiff_t k = 0; k < quadruples.count(center); ++k) {
                    const std::ptrdiff_t number = quadruples.starts[center] + k;
                    const Axes slope = product_slope(design, number, own[k], end, functions, sign_of_odd);
                    const std::int32_t function = quadruples.products[number].function;
                    for (int axis = 0; axis < 3; ++axis) row[axis * design.n_functions + function] += slope[axis];
                    if (totals != nullptr && sign_of_odd > 0.0) {
                        add_symmetric(slope, design.vectors + 3 * neighbor.number, totals + function, design.n_functions);
                    }
                }
            };
            add(kind, other, atom, 1.0);
            add(other, kind, neighbor.atom, -1.0);
        });
        if (totals == nullptr) continue;
        for (std::ptrdiff_t k = 0; k < quadruples.count(kind); ++k) {
            const std::ptrdiff_t number = quadruples.starts[kind] + k;
            QuadrupleSlopes unused;
            totals[kVirialRows * design.n_functions + quadruples.products[number].function] += derive_product(
                design, number, sums.values + sums.places[atom] * sums_stride(design), unused);
        }
    }
}

}  // namespace mlff::MLFF_ISA
