// Orders 3 and higher by lifting: products of a few displacements are formed once, the energy is bilinear in them,
// and the gradient goes back through the same products (reverse mode), two multiply-adds per coefficient.
#pragma once

#include "lanes.hpp"

namespace mlff::MLFF_ISA {

// Rows whose values and adjoints fit into the registers beside a column: 32 with vectors of 64 bytes, else 16.
constexpr int kMostRows = MLFF_BYTES == 64 ? 10 : 6;

// A value and the derivative of the energy with respect to it, side by side in the cache.
template <typename Real>
struct Entry {
    Lanes<Real> value;
    Lanes<Real> adjoint;

    MLFF_INLINE_MEMBER void start(Lanes<Real> start_value) {
        value = start_value;
        adjoint = Lanes<Real>{};
    }
};

// Rows of a tile. A recursive struct keeps values and adjoints in registers; an array would go to memory.
template <typename Real, int N>
struct Rows {
    Lanes<Real> value;
    Lanes<Real> adjoint;
    Rows<Real, N - 1> rest;

    MLFF_INLINE_MEMBER void load(const Entry<Real>* entry) {
        value = entry->value;
        adjoint = Lanes<Real>{};
        rest.load(entry + 1);
    }
    // The two partial sums of the column's adjoint take turns, so that no chain of additions is long.
    MLFF_INLINE_MEMBER void column(const Real* coefficients, Lanes<Real> u, Lanes<Real>& a, Lanes<Real>& b) {
        const Lanes<Real> coefficient = broadcast(*coefficients);
        adjoint += coefficient * u;
        a += coefficient * value;
        rest.column(coefficients + 1, u, b, a);
    }
    MLFF_INLINE_MEMBER void finish(Entry<Real>* entry, Lanes<Real>& energy) const {
        entry->adjoint += adjoint;
        energy += value * adjoint;
        rest.finish(entry + 1, energy);
    }
    // The rows are the products of two slots, up to the End-th.
    template <int End>
    MLFF_INLINE_MEMBER void form_products(const Vector3<Real>& first, const Vector3<Real>& second) {
        constexpr int place = End - N;
        value = component<place / 3>(first) * component<place % 3>(second);
        adjoint = Lanes<Real>{};
        rest.template form_products<End>(first, second);
    }
    template <int End>
    MLFF_INLINE_MEMBER void finish_products(const Vector3<Real>& first, const Vector3<Real>& second,
                                            Vector3<Real>& first_adjoint, Vector3<Real>& second_adjoint,
                                            Lanes<Real>& energy) const {
        constexpr int place = End - N;
        component<place / 3>(first_adjoint) += adjoint * component<place % 3>(second);
        component<place % 3>(second_adjoint) += adjoint * component<place / 3>(first);
        energy += value * adjoint;
        rest.template finish_products<End>(first, second, first_adjoint, second_adjoint, energy);
    }
};

template <typename Real>
struct Rows<Real, 0> {
    MLFF_INLINE_MEMBER void load(const Entry<Real>*) {}
    MLFF_INLINE_MEMBER void column(const Real*, Lanes<Real>, Lanes<Real>&, Lanes<Real>&) {}
    MLFF_INLINE_MEMBER void finish(Entry<Real>*, Lanes<Real>&) const {}
    template <int>
    MLFF_INLINE_MEMBER void form_products(const Vector3<Real>&, const Vector3<Real>&) {}
    template <int>
    MLFF_INLINE_MEMBER void finish_products(const Vector3<Real>&, const Vector3<Real>&, Vector3<Real>&, Vector3<Real>&,
                                            Lanes<Real>&) const {}
};

// How many of a tile's rows, from the first that is left, are held in registers together: parts as equal as can be.
constexpr int rows_together(int n_rows, int first) {
    const int n_left = n_rows - first, n_parts = (n_left + kMostRows - 1) / kMostRows;
    return (n_left + n_parts - 1) / n_parts;
}

template <int Stride, typename Real, int N>
MLFF_INLINE void run_columns(Rows<Real, N>& rows, const Tile& tile, const std::int32_t* columns,
                             const Real* coefficients, Entry<Real>* entries) {
    for (std::int32_t k = 0; k < tile.n_columns; ++k) {
        Entry<Real>& column = entries[columns[k]];
        Lanes<Real> a = column.adjoint, b = {};
        rows.column(coefficients, column.value, a, b);
        column.adjoint = a + b;
        coefficients += Stride;
    }
}

template <typename Real, int N, int First = 0>
static void run_plain_tile(const Tile& tile, const std::int32_t* columns, const Real* coefficients,
                           Entry<Real>* entries, Lanes<Real>& energy) {
    if constexpr (First < N) {
        constexpr int n_together = rows_together(N, First);
        Entry<Real>* const own = entries + tile.first_row + First;
        Rows<Real, n_together> rows;
        rows.load(own);
        run_columns<N>(rows, tile, columns, coefficients + First, entries);
        rows.finish(own, energy);
        run_plain_tile<Real, N, First + n_together>(tile, columns, coefficients, entries, energy);
    }
}

}  // namespace mlff::MLFF_ISA
