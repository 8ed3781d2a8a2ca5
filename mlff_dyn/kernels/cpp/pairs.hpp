// Tiles that form the nine products of a pair of slots themselves, and the choice between all kinds of tiles.
#pragma once

#include "lifted.hpp"

namespace mlff::MLFF_ISA {

template <typename Real>
MLFF_INLINE Vector3<Real> values_of(const Entry<Real>* entries) {
    return {entries[0].value, entries[1].value, entries[2].value};
}

template <typename Real>
MLFF_INLINE Vector3<Real> adjoints_of(const Entry<Real>* entries) {
    return {entries[0].adjoint, entries[1].adjoint, entries[2].adjoint};
}

template <typename Real>
MLFF_INLINE void store_adjoints(const Vector3<Real>& adjoints, Entry<Real>* entries) {
    entries[0].adjoint = adjoints.x;
    entries[1].adjoint = adjoints.y;
    entries[2].adjoint = adjoints.z;
}

template <typename Real, int First = 0>
static void run_pair_rows(const Tile& tile, const std::int32_t* columns, const Real* coefficients,
                          Entry<Real>* entries, Lanes<Real>& energy) {
    if constexpr (First < 9) {
        constexpr int n_together = rows_together(9, First), end = First + n_together;
        Entry<Real>* first = entries + tile.first_row;
        Entry<Real>* second = entries + tile.second_row;
        Rows<Real, n_together> rows;
        rows.template form_products<end>(values_of(first), values_of(second));
        run_columns<9>(rows, tile, columns, coefficients + First, entries);
        Vector3<Real> first_adjoint = adjoints_of(first), second_adjoint = adjoints_of(second);
        rows.template finish_products<end>(values_of(first), values_of(second), first_adjoint, second_adjoint, energy);
        store_adjoints(first_adjoint, first);
        store_adjoints(second_adjoint, second);
        run_pair_rows<Real, end>(tile, columns, coefficients, entries, energy);
    }
}

template <int Place, typename Real, int N>
MLFF_INLINE void multiply_pair(Rows<Real, N>& rows, const Real* coefficients, const Vector3<Real>& first,
                               const Vector3<Real>& second, Vector3<Real>& first_adjoint,
                               Vector3<Real>& second_adjoint) {
    if constexpr (Place < 9) {
        const Lanes<Real> u = component<Place / 3>(first), v = component<Place % 3>(second);
        Lanes<Real> a = {}, b = {};
        rows.column(coefficients + Place * N, u * v, a, b);
        const Lanes<Real> adjoint = a + b;
        component<Place / 3>(first_adjoint) += adjoint * v;
        component<Place % 3>(second_adjoint) += adjoint * u;
        multiply_pair<Place + 1>(rows, coefficients, first, second, first_adjoint, second_adjoint);
    }
}

template <typename Real, int N>
static void run_pair_columns(const Tile& tile, const std::int32_t* columns, const Real* coefficients,
                             Entry<Real>* entries, Lanes<Real>& energy) {
    Rows<Real, N> rows;
    rows.load(entries + tile.first_row);
    for (std::int32_t k = 0; k < tile.n_columns; k += 9) {
        Entry<Real>* first = entries + columns[0];
        Entry<Real>* second = entries + columns[1];
        Vector3<Real> first_adjoint = adjoints_of(first), second_adjoint = adjoints_of(second);
        multiply_pair<0>(rows, coefficients, values_of(first), values_of(second), first_adjoint, second_adjoint);
        store_adjoints(first_adjoint, first);
        store_adjoints(second_adjoint, second);
        columns += 2;
        coefficients += 9 * N;
    }
    rows.finish(entries + tile.first_row, energy);
}

template <typename Real>
MLFF_INLINE void run_tiles(const CellProgram<Real>& program, Entry<Real>* entries, Lanes<Real>& energy) {
    for (std::ptrdiff_t index = 0; index < program.n_tiles; ++index) {
        const Tile& tile = program.tiles[index];
        const std::int32_t* columns = program.columns + tile.first_column;
        const Real* coefficients = program.coefficients + tile.first_coefficient;
        if (tile.kind == kPairRows) {
            run_pair_rows<Real>(tile, columns, coefficients, entries, energy);
        } else if (tile.kind == kPairColumns) {
            run_pair_columns<Real, 6>(tile, columns, coefficients, entries, energy);
        } else {
            switch (tile.n_rows) {
                case 10: run_plain_tile<Real, 10>(tile, columns, coefficients, entries, energy); break;
                case 9: run_plain_tile<Real, 9>(tile, columns, coefficients, entries, energy); break;
                case 6: run_plain_tile<Real, 6>(tile, columns, coefficients, entries, energy); break;
                case 3: run_plain_tile<Real, 3>(tile, columns, coefficients, entries, energy); break;
                default: run_plain_tile<Real, 1>(tile, columns, coefficients, entries, energy); break;
            }
        }
    }
}

}  // namespace mlff::MLFF_ISA
