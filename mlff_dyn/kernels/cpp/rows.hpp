// Rows of the design matrix in independent parameters, block by block of cells: themselves, or the variances of the forces.
#pragma once

#include <algorithm>

#include "design.hpp"

namespace mlff::MLFF_ISA {

template <typename Real>
MLFF_INLINE Real add_lanes(Lanes<Real> v) {
    if constexpr (kLanes<Real> == 8) {
        v += __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3);
        v += __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5);
        v += __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6);
    } else {
        v += __builtin_shufflevector(v, v, 2, 3, 0, 1);
        v += __builtin_shufflevector(v, v, 1, 0, 3, 2);
    }
    return v[0];
}

template <int N>
struct Vectors {
    Lanes<double> value;
    Vectors<N - 1> rest;

    MLFF_INLINE_MEMBER void clear() {
        value = Lanes<double>{};
        rest.clear();
    }
    MLFF_INLINE_MEMBER void load(const double* in, std::ptrdiff_t stride) {
        __builtin_memcpy(&value, in, sizeof value);
        rest.load(in + stride, stride);
    }
    MLFF_INLINE_MEMBER void add_scaled(Lanes<double> x, const double* factors) {
        value += x * broadcast(*factors);
        rest.add_scaled(x, factors + 1);
    }
    MLFF_INLINE_MEMBER Lanes<double> norm() const { return value * value + rest.norm(); }
    MLFF_INLINE_MEMBER void store(Lanes<double>* out, std::ptrdiff_t stride) const {
        *out = value;
        rest.store(out + stride, stride);
    }
};

template <>
struct Vectors<0> {
    MLFF_INLINE_MEMBER void clear() {}
    MLFF_INLINE_MEMBER void load(const double*, std::ptrdiff_t) {}
    MLFF_INLINE_MEMBER void add_scaled(Lanes<double>, const double*) {}
    MLFF_INLINE_MEMBER Lanes<double> norm() const { return Lanes<double>{}; }
    MLFF_INLINE_MEMBER void store(Lanes<double>*, std::ptrdiff_t) const {}
};

// Three rows (side by side in x) times N columns, each product in a register.
template <int N>
struct RowProducts {
    Vectors<N> a, b, c;

    MLFF_INLINE_MEMBER void clear() {
        a.clear();
        b.clear();
        c.clear();
    }
    // Of the three rows in turn, each `stride` long.
    MLFF_INLINE_MEMBER void load(const double* in, std::ptrdiff_t stride) {
        a.load(in, 3 * stride);
        b.load(in + stride, 3 * stride);
        c.load(in + 2 * stride, 3 * stride);
    }
    MLFF_INLINE_MEMBER void add(const Lanes<double>* x, const double* columns) {
        a.add_scaled(x[0], columns);
        b.add_scaled(x[1], columns);
        c.add_scaled(x[2], columns);
    }
    MLFF_INLINE_MEMBER void store(Lanes<double>* out) const {
        a.store(out, 3);
        b.store(out + 1, 3);
        c.store(out + 2, 3);
    }
};

// One panel of N columns; the weights behind its own are returned.
template <int N>
MLFF_INLINE const double* reduce_panel(const std::int32_t* rows, std::ptrdiff_t n_rows, const double* weights,
                                       const Lanes<double>* full, Lanes<double>* out) {
    RowProducts<N> products;
    products.clear();
    for (std::ptrdiff_t k = 0; k < n_rows; ++k, weights += N) products.add(full + 3 * rows[k], weights);
    products.store(out);
    return weights;
}

// Reduced rows of one site for a block of cells: out[3 * column + axis].
MLFF_INLINE void reduce_block(const Reduction& reduction, const Lanes<double>* full, Lanes<double>* out) {
    const double* weights = reduction.weights;
    for (std::ptrdiff_t panel = 0; panel < reduction.n_panels; ++panel) {
        const std::int32_t first = reduction.starts[panel], width = reduction.widths[panel];
        const std::ptrdiff_t n_rows = reduction.starts[panel + 1] - first;
        if (width == kPanelWidth) {
            weights = reduce_panel<kPanelWidth>(reduction.rows + first, n_rows, weights, full, out);
        } else {
            weights = reduce_panel<1>(reduction.rows + first, n_rows, weights, full, out);
        }
        out += 3 * width;
    }
}

// Runs visit(first atom, number of atoms, reduced rows) for every site and block of cells. A chunk serves some blocks at
// once, for which it is read from memory but once.
template <typename Visit>
MLFF_INLINE void for_each_block(const DesignTables& tables, const Supercell& supercell, const Reduction& reduction,
                                void* memory, const Visit& visit) {
    constexpr std::ptrdiff_t n_lanes = kLanes<double>, n_together = n_lanes * kBlocksTogether;
    Lanes<double>* x = static_cast<Lanes<double>*>(memory);
    Lanes<double>* full = x + 3 * reduction.n_columns;
    Lanes<double>* scratch = full + kBlocksTogether * 3 * tables.n_parameters;
    for (std::ptrdiff_t first = 0, last = 0; first < tables.n_chunks; first = last) {
        const std::int32_t site = tables.chunks[first].site;
        while (last < tables.n_chunks && tables.chunks[last].site == site) ++last;
        for (std::ptrdiff_t k = 0; k < kBlocksTogether * 3 * tables.n_parameters; ++k) full[k] = Lanes<double>{};
        for (std::ptrdiff_t start = 0; start < supercell.n_cells; start += n_together) {
            const std::ptrdiff_t stop = std::min(start + n_together, supercell.n_cells);
            for (std::ptrdiff_t chunk = first; chunk < last; ++chunk) {
                Lanes<double>* out = full;
                for (std::ptrdiff_t cell = start; cell < stop; cell += n_lanes, out += 3 * tables.n_parameters) {
                    design_block(tables.chunks[chunk], supercell, cell, out, scratch);
                }
            }
            const Lanes<double>* rows = full;
            for (std::ptrdiff_t cell = start; cell < stop; cell += n_lanes, rows += 3 * tables.n_parameters) {
                reduce_block(reduction, rows, x);
                visit(site * supercell.n_cells + cell, std::min(stop - cell, n_lanes), x);
            }
        }
    }
}

// Lane l of vectors 0, stride, 2 stride, ... side by side at out + l * out_stride, for the first lanes.
template <typename Real>
MLFF_INLINE void store_transposed(const Lanes<Real>* vectors, std::ptrdiff_t stride, Real* out,
                                  std::ptrdiff_t out_stride, std::ptrdiff_t n_filled) {
    constexpr int n = kLanes<Real>;
    Lanes<Real> v[n];
    for (int k = 0; k < n; ++k) v[k] = vectors[k * stride];
    if constexpr (n == 8) {
        for (int k = 0; k < 8; k += 2) {
            const Lanes<Real> a = v[k], b = v[k + 1];
            v[k] = __builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14);
            v[k + 1] = __builtin_shufflevector(a, b, 1, 9, 3, 11, 5, 13, 7, 15);
        }
        for (int j = 0; j < 4; ++j) {
            const int k = j + (j & 2);
            const Lanes<Real> a = v[k], b = v[k + 2];
            v[k] = __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13);
            v[k + 2] = __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
        }
        for (int k = 0; k < 4; ++k) {
            const Lanes<Real> a = v[k], b = v[k + 4];
            v[k] = __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11);
            v[k + 4] = __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
        }
    } else {
        for (int k = 0; k < 4; k += 2) {
            const Lanes<Real> a = v[k], b = v[k + 1];
            v[k] = __builtin_shufflevector(a, b, 0, 4, 2, 6);
            v[k + 1] = __builtin_shufflevector(a, b, 1, 5, 3, 7);
        }
        for (int k = 0; k < 2; ++k) {
            const Lanes<Real> a = v[k], b = v[k + 2];
            v[k] = __builtin_shufflevector(a, b, 0, 1, 4, 5);
            v[k + 2] = __builtin_shufflevector(a, b, 2, 3, 6, 7);
        }
    }
    for (std::ptrdiff_t lane = 0; lane < n_filled; ++lane) {
        __builtin_memcpy(out + lane * out_stride, &v[lane], sizeof(v[0]));
    }
}

// The reduced rows themselves: out[3 * atom + axis][column].
static void reduced_rows(const DesignTables& tables, const Supercell& supercell, const Reduction& reduction,
                         double* out, void* scratch) {
    constexpr int n_lanes = kLanes<double>;
    const std::ptrdiff_t n_columns = reduction.n_columns, whole = n_columns / n_lanes * n_lanes;
    for_each_block(tables, supercell, reduction, scratch,
                   [&](std::ptrdiff_t atom, std::ptrdiff_t n_atoms, const Lanes<double>* x) {
        double* block = out + 3 * atom * n_columns;
        for (std::ptrdiff_t column = 0; column < whole; column += n_lanes) {
            for (int axis = 0; axis < 3; ++axis) {
                store_transposed<double>(x + 3 * column + axis, 3, block + axis * n_columns + column, 3 * n_columns,
                                         n_atoms);
            }
        }
        for (std::ptrdiff_t row = 0; row < 3 * n_atoms; ++row) {
            for (std::ptrdiff_t column = whole; column < n_columns; ++column) {
                block[row * n_columns + column] = x[3 * column + row % 3][row / 3];
            }
        }
    });
}

static void row_variances(const DesignTables& tables, const Supercell& supercell, const Reduction& reduction,
                          const FactorTable& factor, double* variances, void* scratch) {
    const std::ptrdiff_t first = tables.chunks[0].site * supercell.n_cells;
    for_each_block(tables, supercell, reduction, scratch,
                   [&](std::ptrdiff_t atom, std::ptrdiff_t n_atoms, const Lanes<double>* x) {
        Lanes<double> squares[3] = {};
        for (std::ptrdiff_t group = 0; group < factor.n_groups; ++group) {
            RowProducts<8> products;
            if (factor.further != nullptr) {
                products.load(factor.further + 24 * group * factor.n_further + atom - first, factor.n_further);
            } else {
                products.clear();
            }
            for (std::ptrdiff_t row = factor.first_rows[group]; row < factor.last_rows[group]; ++row) {
                products.add(x + 3 * row, factor.values + 8 * (group + row * factor.n_groups));
            }
            squares[0] += products.a.norm();
            squares[1] += products.b.norm();
            squares[2] += products.c.norm();
        }
        for (std::ptrdiff_t lane = 0; lane < n_atoms; ++lane) {
            for (int axis = 0; axis < 3; ++axis) variances[3 * (atom - first + lane) + axis] = squares[axis][lane];
        }
    });
}

}  // namespace mlff::MLFF_ISA
