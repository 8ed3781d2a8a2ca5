// Cells as SIMD lanes: one vector holds the same quantity of several primitive cells.
// Included once per instruction set, inside its own namespace; uses nothing from the standard library, so that no
// function compiled for a newer processor can be shared with code for an older one.
#pragma once

#include "tables.hpp"

#define MLFF_INLINE_MEMBER inline __attribute__((always_inline))
#define MLFF_INLINE static MLFF_INLINE_MEMBER

namespace mlff::MLFF_ISA {

constexpr std::ptrdiff_t kLanes = MLFF_LANES;
typedef double Lanes __attribute__((vector_size(8 * MLFF_LANES)));

struct Vector3 {
    Lanes x, y, z;
};

MLFF_INLINE Lanes broadcast(double value) { return value - Lanes{}; }

MLFF_INLINE double sum(Lanes values) {
    double total = 0.0;
    for (std::ptrdiff_t lane = 0; lane < kLanes; ++lane) total += values[lane];
    return total;
}

MLFF_INLINE Vector3 gather(const double* u, const std::int32_t* atoms) {
    Vector3 result;
    for (std::ptrdiff_t lane = 0; lane < kLanes; ++lane) {
        const double* atom = u + kStride * atoms[lane];
        result.x[lane] = atom[0];
        result.y[lane] = atom[1];
        result.z[lane] = atom[2];
    }
    return result;
}

MLFF_INLINE void scatter_subtract(double* forces, const std::int32_t* atoms, Vector3 gradient) {
    for (std::ptrdiff_t lane = 0; lane < kLanes; ++lane) {
        double* atom = forces + kStride * atoms[lane];
        atom[0] -= gradient.x[lane];
        atom[1] -= gradient.y[lane];
        atom[2] -= gradient.z[lane];
    }
}

}  // namespace mlff::MLFF_ISA
