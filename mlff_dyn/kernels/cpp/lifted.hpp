// Orders 3 and higher by lifting: products of a few displacements are formed once, the energy is bilinear in them,
// and the gradient goes back through the same products (reverse mode), two multiply-adds per coefficient.
#pragma once

#include "lanes.hpp"

namespace mlff::MLFF_ISA {

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

// Rows of one tile. A recursive struct keeps values and adjoints in registers; an array would go to memory.
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
    // The three partial sums of the column's adjoint rotate, so that no chain of additions is long.
    MLFF_INLINE_MEMBER void column(const Real* coefficients, Lanes<Real> u, Lanes<Real>& a, Lanes<Real>& b,
                                   Lanes<Real>& c) {
        const Lanes<Real> coefficient = broadcast(*coefficients);
        adjoint += coefficient * u;
        a += coefficient * value;
        rest.column(coefficients + 1, u, b, c, a);
    }
    MLFF_INLINE_MEMBER void finish(Entry<Real>* entry, Lanes<Real>& energy) const {
        entry->adjoint += adjoint;
        energy += value * adjoint;
        rest.finish(entry + 1, energy);
    }
    // The rows are the products of two slots.
    MLFF_INLINE_MEMBER void form_products(const Vector3<Real>& first, const Vector3<Real>& second) {
        constexpr int place = 9 - N;
        value = component<place / 3>(first) * component<place % 3>(second);
        adjoint = Lanes<Real>{};
        rest.form_products(first, second);
    }
    MLFF_INLINE_MEMBER void finish_products(const Vector3<Real>& first, const Vector3<Real>& second,
                                            Vector3<Real>& first_adjoint, Vector3<Real>& second_adjoint,
                                            Lanes<Real>& energy) const {
        constexpr int place = 9 - N;
        component<place / 3>(first_adjoint) += adjoint * component<place % 3>(second);
        component<place % 3>(second_adjoint) += adjoint * component<place / 3>(first);
        energy += value * adjoint;
        rest.finish_products(first, second, first_adjoint, second_adjoint, energy);
    }
};

template <typename Real>
struct Rows<Real, 0> {
    MLFF_INLINE_MEMBER void load(const Entry<Real>*) {}
    MLFF_INLINE_MEMBER void column(const Real*, Lanes<Real>, Lanes<Real>&, Lanes<Real>&, Lanes<Real>&) {}
    MLFF_INLINE_MEMBER void finish(Entry<Real>*, Lanes<Real>&) const {}
    MLFF_INLINE_MEMBER void form_products(const Vector3<Real>&, const Vector3<Real>&) {}
    MLFF_INLINE_MEMBER void finish_products(const Vector3<Real>&, const Vector3<Real>&, Vector3<Real>&, Vector3<Real>&,
                                            Lanes<Real>&) const {}
};

template <typename Real, int N>
MLFF_INLINE void run_columns(Rows<Real, N>& rows, const Tile& tile, const std::int32_t* columns,
                             const Real* coefficients, Entry<Real>* entries) {
    for (std::int32_t k = 0; k < tile.n_columns; ++k) {
        Entry<Real>& column = entries[columns[k]];
        Lanes<Real> a = column.adjoint, b = {}, c = {};
        rows.column(coefficients, column.value, a, b, c);
        column.adjoint = a + (b + c);
        coefficients += N;
    }
}

template <typename Real, int N>
static void run_plain_tile(const Tile& tile, const std::int32_t* columns, const Real* coefficients,
                           Entry<Real>* entries, Lanes<Real>& energy) {
    Rows<Real, N> rows;
    rows.load(entries + tile.first_row);
    run_columns(rows, tile, columns, coefficients, entries);
    rows.finish(entries + tile.first_row, energy);
}

}  // namespace mlff::MLFF_ISA
