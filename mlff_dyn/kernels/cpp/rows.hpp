// Rows of the design matrix in independent parameters, as panels of vectors, never stored as a whole: from them come the
// information matrix, the variances of the forces, or the forces of several sets of parameters.
#pragma once

#include "design.hpp"

namespace mlff::MLFF_ISA {

// Vectors of a panel: three a block of cells.
constexpr std::ptrdiff_t kPanelVectors = 63;

// Rows and columns of the tile that stays in registers.
constexpr int kDots = 5;

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

    MLFF_INLINE_MEMBER void load(const Lanes<double>* vectors, std::ptrdiff_t stride) {
        value = *vectors;
        rest.load(vectors + stride, stride);
    }
    MLFF_INLINE_MEMBER void clear() {
        value = Lanes<double>{};
        rest.clear();
    }
    MLFF_INLINE_MEMBER void add_product(Lanes<double> x, const Vectors<N>& y) {
        value += x * y.value;
        rest.add_product(x, y.rest);
    }
    MLFF_INLINE_MEMBER void add_sums(double* out) const {
        *out += add_lanes<double>(value);
        rest.add_sums(out + 1);
    }
    MLFF_INLINE_MEMBER void add_scaled(Lanes<double> x, const double* factors) {
        value += x * broadcast(*factors);
        rest.add_scaled(x, factors + 1);
    }
    MLFF_INLINE_MEMBER void store(Lanes<double>* out) const {
        *out = value;
        rest.store(out + 1);
    }
    MLFF_INLINE_MEMBER Lanes<double> norm() const { return value * value + rest.norm(); }
};

template <>
struct Vectors<0> {
    MLFF_INLINE_MEMBER void load(const Lanes<double>*, std::ptrdiff_t) {}
    MLFF_INLINE_MEMBER void clear() {}
    MLFF_INLINE_MEMBER void add_product(Lanes<double>, const Vectors<0>&) {}
    MLFF_INLINE_MEMBER void add_sums(double*) const {}
    MLFF_INLINE_MEMBER void add_scaled(Lanes<double>, const double*) {}
    MLFF_INLINE_MEMBER void store(Lanes<double>*) const {}
    MLFF_INLINE_MEMBER Lanes<double> norm() const { return Lanes<double>{}; }
};

template <int M>
struct DotTile {
    Vectors<kDots> row;
    DotTile<M - 1> rest;

    MLFF_INLINE_MEMBER void clear() {
        row.clear();
        rest.clear();
    }
    MLFF_INLINE_MEMBER void add(const Lanes<double>* x, std::ptrdiff_t stride, const Vectors<kDots>& y) {
        row.add_product(*x, y);
        rest.add(x + stride, stride, y);
    }
    MLFF_INLINE_MEMBER void add_sums(double* out, std::ptrdiff_t stride) const {
        row.add_sums(out);
        rest.add_sums(out + stride, stride);
    }
};

template <>
struct DotTile<0> {
    MLFF_INLINE_MEMBER void clear() {}
    MLFF_INLINE_MEMBER void add(const Lanes<double>*, std::ptrdiff_t, const Vectors<kDots>&) {}
    MLFF_INLINE_MEMBER void add_sums(double*, std::ptrdiff_t) const {}
};

// Adds panel * panel^T below and on the diagonal of gram, in strips of rows that stay in the cache; n_rows is a
// multiple of kDots.
static void add_gram(const Lanes<double>* panel, std::ptrdiff_t n_rows, std::ptrdiff_t n_vectors, double* gram) {
    constexpr std::ptrdiff_t strip = 12 * kDots;
    for (std::ptrdiff_t first = 0; first < n_rows; first += strip) {
        for (std::ptrdiff_t i = first; i < n_rows; i += kDots) {
            for (std::ptrdiff_t j = first; j < first + strip && j <= i; j += kDots) {
                DotTile<kDots> tile;
                tile.clear();
                for (std::ptrdiff_t k = 0; k < n_vectors; ++k) {
                    Vectors<kDots> y;
                    y.load(panel + j * kPanelVectors + k, kPanelVectors);
                    tile.add(panel + i * kPanelVectors + k, kPanelVectors, y);
                }
                tile.add_sums(gram + i * n_rows + j, n_rows);
            }
        }
    }
}

// Reduced rows of one site for a block of cells: out[column * stride + axis], lanes of missing cells zero.
MLFF_INLINE void reduce_block(const Reduction& reduction, const Lanes<double>* full, Lanes<double> mask,
                              Lanes<double>* out, std::ptrdiff_t stride) {
    for (std::ptrdiff_t column = 0; column < reduction.n_columns; ++column) {
        Lanes<double> x = {}, y = {}, z = {};
        for (std::int32_t k = reduction.starts[column]; k < reduction.starts[column + 1]; ++k) {
            const Lanes<double> weight = broadcast(reduction.weights[k]);
            const Lanes<double>* row = full + 3 * reduction.rows[k];
            x += weight * row[0];
            y += weight * row[1];
            z += weight * row[2];
        }
        out[column * stride] = x * mask;
        out[column * stride + 1] = y * mask;
        out[column * stride + 2] = z * mask;
    }
}

// Runs visit(site, cell, mask of present cells) for every site and block of cells, the rows being in full.
template <typename Visit>
MLFF_INLINE void for_each_block(const DesignTables& tables, const Supercell& supercell, Lanes<double>* full,
                                Lanes<double>* scratch, const Visit& visit) {
    constexpr int n_lanes = kLanes<double>;
    for (std::ptrdiff_t first = 0, last = 0; first < tables.n_chunks; first = last) {
        const std::int32_t site = tables.chunks[first].site;
        while (last < tables.n_chunks && tables.chunks[last].site == site) ++last;
        for (std::ptrdiff_t k = 0; k < 3 * tables.n_parameters; ++k) full[k] = Lanes<double>{};
        for (std::ptrdiff_t cell = 0; cell < supercell.n_cells; cell += n_lanes) {
            for (std::ptrdiff_t chunk = first; chunk < last; ++chunk) {
                design_block(tables.chunks[chunk], supercell, cell, full, scratch);
            }
            Lanes<double> mask = {};
            for (int lane = 0; lane < n_lanes; ++lane) mask[lane] = cell + lane < supercell.n_cells ? 1.0 : 0.0;
            visit(site, cell, mask);
        }
    }
}

static void row_statistics(const DesignTables& tables, const Supercell& supercell, const Reduction& reduction,
                           const double* forces, double* gram, void* scratch) {
    constexpr int n_lanes = kLanes<double>;
    const std::ptrdiff_t n_rows = (reduction.n_columns + kDots) / kDots * kDots;
    Lanes<double>* panel = static_cast<Lanes<double>*>(scratch);
    Lanes<double>* full = panel + n_rows * kPanelVectors;
    Lanes<double>* rest = full + 3 * tables.n_parameters;
    for (std::ptrdiff_t k = 0; k < n_rows * kPanelVectors; ++k) panel[k] = Lanes<double>{};
    std::ptrdiff_t n_vectors = 0;
    for_each_block(tables, supercell, full, rest, [&](std::int32_t site, std::ptrdiff_t cell, Lanes<double> mask) {
        reduce_block(reduction, full, mask, panel + n_vectors, kPanelVectors);
        Lanes<double>* target = panel + reduction.n_columns * kPanelVectors + n_vectors;
        for (int lane = 0; lane < n_lanes && cell + lane < supercell.n_cells; ++lane) {
            const double* force = forces + 3 * (site * supercell.n_cells + cell + lane);
            for (int axis = 0; axis < 3; ++axis) target[axis][lane] = force[axis];
        }
        for (int axis = 0; axis < 3; ++axis) target[axis] *= mask;
        n_vectors += 3;
        if (n_vectors == kPanelVectors) {
            add_gram(panel, n_rows, n_vectors, gram);
            n_vectors = 0;
        }
    });
    if (n_vectors > 0) add_gram(panel, n_rows, n_vectors, gram);
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
    const std::ptrdiff_t whole = reduction.n_columns / n_lanes * n_lanes;
    Lanes<double>* x = static_cast<Lanes<double>*>(scratch);
    Lanes<double>* full = x + 3 * reduction.n_columns;
    Lanes<double>* rest = full + 3 * tables.n_parameters;
    for_each_block(tables, supercell, full, rest, [&](std::int32_t site, std::ptrdiff_t cell, Lanes<double> mask) {
        reduce_block(reduction, full, mask, x, 3);
        double* block = out + 3 * (site * supercell.n_cells + cell) * reduction.n_columns;
        const std::ptrdiff_t filled = supercell.n_cells - cell < n_lanes ? supercell.n_cells - cell : n_lanes;
        for (std::ptrdiff_t column = 0; column < whole; column += n_lanes) {
            for (int axis = 0; axis < 3; ++axis) {
                store_transposed<double>(x + 3 * column + axis, 3, block + axis * reduction.n_columns + column,
                                 3 * reduction.n_columns, filled);
            }
        }
        for (int lane = 0; lane < n_lanes && cell + lane < supercell.n_cells; ++lane) {
            double* rows = out + 3 * (site * supercell.n_cells + cell + lane) * reduction.n_columns;
            for (int axis = 0; axis < 3; ++axis, rows += reduction.n_columns) {
                for (std::ptrdiff_t column = whole; column < reduction.n_columns; ++column) {
                    rows[column] = x[3 * column + axis][lane];
                }
            }
        }
    });
}

// Three rows (side by side in x) times eight columns of a factor, each product in a register.
struct RowProducts {
    Vectors<8> a, b, c;

    MLFF_INLINE_MEMBER void form(const FactorTable& factor, std::ptrdiff_t group, const Lanes<double>* x) {
        const std::ptrdiff_t stride = 8 * factor.n_groups;
        const double* columns = factor.values + 8 * group;
        a.clear();
        b.clear();
        c.clear();
        for (std::ptrdiff_t row = factor.first_rows[group]; row < factor.last_rows[group]; ++row) {
            a.add_scaled(x[3 * row], columns + row * stride);
            b.add_scaled(x[3 * row + 1], columns + row * stride);
            c.add_scaled(x[3 * row + 2], columns + row * stride);
        }
    }
};

static void row_variances(const DesignTables& tables, const Supercell& supercell, const Reduction& reduction,
                          const FactorTable& factor, double* variances, void* scratch) {
    Lanes<double>* x = static_cast<Lanes<double>*>(scratch);
    Lanes<double>* full = x + 3 * reduction.n_columns;
    Lanes<double>* rest = full + 3 * tables.n_parameters;
    for_each_block(tables, supercell, full, rest, [&](std::int32_t site, std::ptrdiff_t cell, Lanes<double> mask) {
        reduce_block(reduction, full, mask, x, 3);
        Lanes<double> squares[3] = {};
        for (std::ptrdiff_t group = 0; group < factor.n_groups; ++group) {
            RowProducts products;
            products.form(factor, group, x);
            squares[0] += products.a.norm();
            squares[1] += products.b.norm();
            squares[2] += products.c.norm();
        }
        for (int lane = 0; lane < kLanes<double> && cell + lane < supercell.n_cells; ++lane) {
            double* out = variances + 3 * (site * supercell.n_cells + cell + lane);
            for (int axis = 0; axis < 3; ++axis) out[axis] = squares[axis][lane];
        }
    });
}

// Forces of each column of the factor as parameters: out[row of a site and cell][axis][8 * n_groups].
static void row_products(const DesignTables& tables, const Supercell& supercell, const Reduction& reduction,
                         const FactorTable& factor, double* out, void* scratch) {
    Lanes<double>* x = static_cast<Lanes<double>*>(scratch);
    Lanes<double>* full = x + 3 * reduction.n_columns;
    Lanes<double>* rest = full + 3 * tables.n_parameters;
    const std::ptrdiff_t width = 8 * factor.n_groups;
    for_each_block(tables, supercell, full, rest, [&](std::int32_t site, std::ptrdiff_t cell, Lanes<double> mask) {
        reduce_block(reduction, full, mask, x, 3);
        double* block = out + 3 * width * (site * supercell.n_cells + cell);
        for (std::ptrdiff_t group = 0; group < factor.n_groups; ++group) {
            RowProducts products;
            products.form(factor, group, x);
            Lanes<double> values[24];
            products.a.store(values);
            products.b.store(values + 8);
            products.c.store(values + 16);
            for (int lane = 0; lane < kLanes<double> && cell + lane < supercell.n_cells; ++lane) {
                for (int k = 0; k < 24; ++k) {
                    block[width * (3 * lane + k / 8) + 8 * group + k % 8] = values[k][lane];
                }
            }
        }
    });
}

}  // namespace mlff::MLFF_ISA
