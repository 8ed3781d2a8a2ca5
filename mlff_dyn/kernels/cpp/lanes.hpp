// Cells as SIMD lanes: one vector holds the same quantity of several primitive cells.
// Included once per instruction set, inside its own namespace; uses nothing from the standard library, so that no
// function compiled for a newer processor can be shared with code for an older one.
#pragma once

#include "tables.hpp"

#define MLFF_INLINE_MEMBER inline __attribute__((always_inline))
#define MLFF_INLINE static MLFF_INLINE_MEMBER

namespace mlff::MLFF_ISA {

template <typename Real>
struct Simd {
    static constexpr int kLanes = MLFF_BYTES / sizeof(Real);
    typedef Real Lanes __attribute__((vector_size(MLFF_BYTES)));
    typedef Real Row __attribute__((vector_size(kStride * sizeof(Real))));  // x, y, z, 0 of an atom
};

template <typename Real>
using Lanes = typename Simd<Real>::Lanes;
template <typename Real>
using Row = typename Simd<Real>::Row;
template <typename Real>
constexpr int kLanes = Simd<Real>::kLanes;

template <typename Real>
struct Vector3 {
    Lanes<Real> x, y, z;
};

template <int Axis, typename Vector>
MLFF_INLINE auto& component(Vector& vector) {
    if constexpr (Axis == 0) {
        return vector.x;
    } else if constexpr (Axis == 1) {
        return vector.y;
    } else {
        return vector.z;
    }
}

template <typename Real>
MLFF_INLINE Lanes<Real> broadcast(Real value) {
    return value - Lanes<Real>{};
}

template <int... Index>
struct Sequence {};
template <int Count, int... Index>
struct MakeSequence : MakeSequence<Count - 1, Count - 1, Index...> {};
template <int... Index>
struct MakeSequence<0, Index...> {
    using type = Sequence<Index...>;
};
template <int Count>
using Range = typename MakeSequence<Count>::type;

// The same choice in every group of four lanes: A, B, C, D name lanes 0-3 of a or, from 4 on, those of b.
template <typename Real, int A, int B, int C, int D, int... Index>
MLFF_INLINE Lanes<Real> shuffle_groups(Lanes<Real> a, Lanes<Real> b, Sequence<Index...>) {
    constexpr int choice[4] = {A, B, C, D};
    return __builtin_shufflevector(
        a, b, (Index / 4 * 4 + choice[Index % 4] % 4 + (choice[Index % 4] / 4) * kLanes<Real>)...);
}

template <typename Real, int A, int B, int C, int D>
MLFF_INLINE Lanes<Real> shuffle4(Lanes<Real> a, Lanes<Real> b) {
    return shuffle_groups<Real, A, B, C, D>(a, b, Range<kLanes<Real>>{});
}

template <typename Real>
MLFF_INLINE Row<Real> load_row(const Real* address) {
    return *reinterpret_cast<const Row<Real>*>(address);
}

// Rows 0, 4, 8, ... of the list side by side.
template <typename Real>
MLFF_INLINE Lanes<Real> load_rows(const Real* u, const std::int32_t* places) {
    if constexpr (kLanes<Real> == 4) {
        return load_row(u + places[0]);
    } else {
        const auto low = __builtin_shufflevector(load_row(u + places[0]), load_row(u + places[4]), 0, 1, 2, 3, 4, 5, 6, 7);
        if constexpr (kLanes<Real> == 8) {
            return low;
        } else {
            const auto high =
                __builtin_shufflevector(load_row(u + places[8]), load_row(u + places[12]), 0, 1, 2, 3, 4, 5, 6, 7);
            return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        }
    }
}

// Displacements of one atom of each cell; places are kStride * atom.
template <typename Real>
MLFF_INLINE Vector3<Real> gather(const Real* u, const std::int32_t* places) {
    const Lanes<Real> a = load_rows(u, places), b = load_rows(u, places + 1), c = load_rows(u, places + 2),
                      d = load_rows(u, places + 3);
    if constexpr (sizeof(Real) == 8) {
        const Lanes<Real> xz = shuffle4<Real, 0, 4, 2, 6>(a, b), yw = shuffle4<Real, 1, 5, 3, 7>(a, b);
        const Lanes<Real> xz_next = shuffle4<Real, 0, 4, 2, 6>(c, d), yw_next = shuffle4<Real, 1, 5, 3, 7>(c, d);
        return {shuffle4<Real, 0, 1, 4, 5>(xz, xz_next), shuffle4<Real, 0, 1, 4, 5>(yw, yw_next),
                shuffle4<Real, 2, 3, 6, 7>(xz, xz_next)};
    } else {
        const Lanes<Real> xy = shuffle4<Real, 0, 4, 1, 5>(a, b), zw = shuffle4<Real, 2, 6, 3, 7>(a, b);
        const Lanes<Real> xy_next = shuffle4<Real, 0, 4, 1, 5>(c, d), zw_next = shuffle4<Real, 2, 6, 3, 7>(c, d);
        return {shuffle4<Real, 0, 1, 4, 5>(xy, xy_next), shuffle4<Real, 2, 3, 6, 7>(xy, xy_next),
                shuffle4<Real, 0, 1, 4, 5>(zw, zw_next)};
    }
}

template <typename Real, int Group>
MLFF_INLINE void subtract_group(Real* forces, const std::int32_t* places, Lanes<Real> rows) {
    if constexpr (Group * 4 < kLanes<Real>) {
        constexpr int first = Group * 4;
        Row<Real>* row = reinterpret_cast<Row<Real>*>(forces + places[first]);
        *row -= __builtin_shufflevector(rows, rows, first, first + 1, first + 2, first + 3);
        subtract_group<Real, Group + 1>(forces, places, rows);
    }
}

// Subtracts from the forces on one atom of each cell.
template <typename Real>
MLFF_INLINE void scatter_subtract(Real* forces, const std::int32_t* places, Vector3<Real> gradient) {
    const Lanes<Real> x = gradient.x, y = gradient.y, z = gradient.z, zero = {};
    // Doubles are unpacked as rows 0, 2 and 1, 3; floats as rows 0, 1 and 2, 3: one instruction each.
    constexpr bool is_double = sizeof(Real) == 8;
    constexpr int i = is_double ? 2 : 1, j = is_double ? 1 : 2;
    const Lanes<Real> xy = shuffle4<Real, 0, 4, i, 4 + i>(x, y), zw = shuffle4<Real, 0, 4, i, 4 + i>(z, zero);
    const Lanes<Real> xy_next = shuffle4<Real, j, 4 + j, 3, 7>(x, y), zw_next = shuffle4<Real, j, 4 + j, 3, 7>(z, zero);
    subtract_group<Real, 0>(forces, places, shuffle4<Real, 0, 1, 4, 5>(xy, zw));
    subtract_group<Real, 0>(forces, places + i, shuffle4<Real, 2, 3, 6, 7>(xy, zw));
    subtract_group<Real, 0>(forces, places + j, shuffle4<Real, 0, 1, 4, 5>(xy_next, zw_next));
    subtract_group<Real, 0>(forces, places + 3, shuffle4<Real, 2, 3, 6, 7>(xy_next, zw_next));
}

}  // namespace mlff::MLFF_ISA
