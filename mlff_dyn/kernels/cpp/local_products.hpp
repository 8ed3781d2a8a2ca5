// Sums of products for the local part, in tiles whose accumulators stay in registers.
#pragma once

#include "lanes.hpp"

namespace mlff::MLFF_ISA {

// Largest tile: rows (radial functions or channels) and columns (harmonics).
constexpr int kTileRows = MLFF_BYTES == 64 ? 5 : 6;
constexpr int kTileColumns = MLFF_BYTES == 64 ? 5 : 2;

// Recursive structs keep every vector in a register of its own; an array would go to memory.
template <typename Real, int N>
struct LaneList {
    Lanes<Real> value;
    LaneList<Real, N - 1> rest;

    MLFF_INLINE_MEMBER void load(const Lanes<Real>* in) {
        value = *in;
        rest.load(in + 1);
    }
    MLFF_INLINE_MEMBER void fill(Lanes<Real> all) {
        value = all;
        rest.fill(all);
    }
    MLFF_INLINE_MEMBER void add(Lanes<Real> factor, const LaneList& other) {
        value += factor * other.value;
        rest.add(factor, other.rest);
    }
    MLFF_INLINE_MEMBER void store(Lanes<Real>* out, std::ptrdiff_t stride) const {
        *out = value;
        rest.store(out + stride, stride);
    }
    MLFF_INLINE_MEMBER Lanes<Real> dot(const Lanes<Real>* others) const {
        if constexpr (N == 1) {
            return value * *others;
        } else {
            return value * *others + rest.dot(others + 1);
        }
    }
    // One column of weights, shared by a sum over this list and a sum for each of its members.
    MLFF_INLINE_MEMBER void add_column(const Lanes<Real>* weights, Lanes<Real> factor, LaneList& sums,
                                       Lanes<Real>& sum) const {
        const Lanes<Real> weight = *weights;
        sum += weight * value;
        sums.value += weight * factor;
        rest.add_column(weights + 1, factor, sums.rest, sum);
    }
};

template <typename Real>
struct LaneList<Real, 0> {
    MLFF_INLINE_MEMBER void load(const Lanes<Real>*) {}
    MLFF_INLINE_MEMBER void fill(Lanes<Real>) {}
    MLFF_INLINE_MEMBER void add(Lanes<Real>, const LaneList&) {}
    MLFF_INLINE_MEMBER void store(Lanes<Real>*, std::ptrdiff_t) const {}
    MLFF_INLINE_MEMBER void add_column(const Lanes<Real>*, Lanes<Real>, LaneList&, Lanes<Real>&) const {}
};

template <typename Real>
MLFF_INLINE Lanes<Real> in_all_lanes(const Real& value) {
    return broadcast(value);
}

template <typename Real>
MLFF_INLINE Lanes<Real> in_all_lanes(const Lanes<Real>& value) {
    return value;
}

// Factors and biases are numbers, or vectors with one for each lane.
template <typename Real, int Rows, int Columns>
struct LaneTile {
    LaneList<Real, Columns> row;
    LaneTile<Real, Rows - 1, Columns> rest;

    // The same bias in all columns of a row, or none.
    template <typename Factor>
    MLFF_INLINE_MEMBER void start(const Factor* bias) {
        row.fill(bias == nullptr ? Lanes<Real>{} : in_all_lanes<Real>(*bias));
        rest.start(bias == nullptr ? nullptr : bias + 1);
    }
    template <typename Factor>
    MLFF_INLINE_MEMBER void add(const Factor* factors, const LaneList<Real, Columns>& columns) {
        row.add(in_all_lanes<Real>(*factors), columns);
        rest.add(factors + 1, columns);
    }
    MLFF_INLINE_MEMBER void store(Lanes<Real>* out, std::ptrdiff_t row_stride, std::ptrdiff_t stride) const {
        row.store(out, stride);
        rest.store(out + row_stride, row_stride, stride);
    }
    // Sum of all products with others[row][column].
    MLFF_INLINE_MEMBER Lanes<Real> dot(const Lanes<Real>* others, std::ptrdiff_t row_stride) const {
        return row.dot(others) + rest.dot(others + row_stride, row_stride);
    }
};

template <typename Real, int Columns>
struct LaneTile<Real, 0, Columns> {
    template <typename Factor>
    MLFF_INLINE_MEMBER void start(const Factor*) {}
    template <typename Factor>
    MLFF_INLINE_MEMBER void add(const Factor*, const LaneList<Real, Columns>&) {}
    MLFF_INLINE_MEMBER void store(Lanes<Real>*, std::ptrdiff_t, std::ptrdiff_t) const {}
    MLFF_INLINE_MEMBER Lanes<Real> dot(const Lanes<Real>*, std::ptrdiff_t) const { return Lanes<Real>{}; }
};

template <int N>
struct Size {
    static constexpr int value = N;
};

// Calls action(Size<size>) for a size up to Largest.
template <int Largest, typename Action>
MLFF_INLINE void with_size(std::ptrdiff_t size, const Action& action) {
    if constexpr (Largest == 1) {
        action(Size<1>{});
    } else if (size == Largest) {
        action(Size<Largest>{});
    } else {
        with_size<Largest - 1>(size, action);
    }
}

// Calls action(first, size) for parts of a range, as equal as they can be, of at most Largest.
template <int Largest, typename Action>
MLFF_INLINE void for_parts(std::ptrdiff_t count, const Action& action) {
    for (std::ptrdiff_t first = 0; first < count;) {
        const std::ptrdiff_t left = count - first, n_parts = (left + Largest - 1) / Largest;
        const std::ptrdiff_t size = (left + n_parts - 1) / n_parts;
        action(first, size);
        first += size;
    }
}

// Calls action(row, column, Size<rows>, Size<columns>) for tiles of a matrix.
template <typename Action>
MLFF_INLINE void for_tiles(std::ptrdiff_t n_rows, std::ptrdiff_t n_columns, const Action& action) {
    for_parts<kTileColumns>(n_columns, [&](std::ptrdiff_t column, std::ptrdiff_t columns) {
        for_parts<kTileRows>(n_rows, [&](std::ptrdiff_t row, std::ptrdiff_t rows) {
            with_size<kTileColumns>(columns, [&](auto n) {
                with_size<kTileRows>(rows, [&](auto m) { action(row, column, m, n); });
            });
        });
    });
}

// Sums over records of rows[record] x columns[record].
template <typename Real, int Rows, int Columns>
static void sum_outer_products(const Lanes<Real>* rows, const Lanes<Real>* columns, std::ptrdiff_t count,
                               std::ptrdiff_t stride, Lanes<Real>* out, std::ptrdiff_t row_stride) {
    LaneTile<Real, Rows, Columns> tile;
    tile.template start<Real>(nullptr);
    for (std::ptrdiff_t k = 0; k < count; ++k) {
        LaneList<Real, Columns> factors;
        factors.load(columns);
        tile.add(rows, factors);
        rows += stride;
        columns += stride;
    }
    tile.store(out, row_stride, 1);
}

// bias + matrix * in, a symmetric matrix of size count; returns the sum of the products with in, before and after bias.
template <typename Real, int Rows, int Columns, typename Factor>
static Lanes<Real> multiply_symmetric(const Factor* matrix, const Factor* bias, const Lanes<Real>* in,
                                      std::ptrdiff_t in_stride, std::ptrdiff_t count, std::ptrdiff_t row,
                                      Lanes<Real>* out, std::ptrdiff_t row_stride, std::ptrdiff_t stride) {
    LaneTile<Real, Rows, Columns> tile, biases;
    biases.start(bias);
    tile.start(bias);
    for (std::ptrdiff_t k = 0; k < count; ++k) {
        LaneList<Real, Columns> factors;
        factors.load(in + k * in_stride);
        tile.add(matrix + k * count, factors);
    }
    tile.store(out, row_stride, stride);
    return tile.dot(in + row * in_stride, in_stride) + biases.dot(in + row * in_stride, in_stride);
}

}  // namespace mlff::MLFF_ISA
