// Products of displacements, and the way back from their adjoints to those of their factors.
#pragma once

#include "lifted.hpp"

namespace mlff::MLFF_ISA {

// Components of the square of a vector, and of its cube as (component of the square) * (component of the vector).
constexpr int kSquarePairs[6][2] = {{0, 0}, {0, 1}, {0, 2}, {1, 1}, {1, 2}, {2, 2}};
constexpr int kCubePairs[10][2] = {{0, 0}, {0, 1}, {0, 2}, {1, 1}, {1, 2}, {2, 2}, {3, 1}, {3, 2}, {4, 2}, {5, 2}};

template <typename Real, int N>
MLFF_INLINE void listed_forward(const int (&pairs)[N][2], const Entry<Real>* parent, const Entry<Real>* single,
                                Entry<Real>* out) {
    for (int k = 0; k < N; ++k) out[k].start(parent[pairs[k][0]].value * single[pairs[k][1]].value);
}

template <typename Real, int N>
MLFF_INLINE void listed_reverse(const int (&pairs)[N][2], Entry<Real>* parent, Entry<Real>* single,
                                const Entry<Real>* made) {
    for (int k = 0; k < N; ++k) {
        parent[pairs[k][0]].adjoint += made[k].adjoint * single[pairs[k][1]].value;
        single[pairs[k][1]].adjoint += made[k].adjoint * parent[pairs[k][0]].value;
    }
}

// Parent and single are the same slot: its adjoints are added to once, not entry by entry through memory.
template <typename Real>
MLFF_INLINE void square_reverse(Entry<Real>* single, const Entry<Real>* made) {
    const Lanes<Real> x = single[0].value, y = single[1].value, z = single[2].value;
    const Lanes<Real> xx = made[0].adjoint, xy = made[1].adjoint, xz = made[2].adjoint, yy = made[3].adjoint,
                      yz = made[4].adjoint, zz = made[5].adjoint;
    single[0].adjoint += (xx + xx) * x + (xy * y + xz * z);
    single[1].adjoint += (yy + yy) * y + (xy * x + yz * z);
    single[2].adjoint += (zz + zz) * z + (xz * x + yz * y);
}

template <typename Real>
MLFF_INLINE void lift_forward(const Lift& lift, Entry<Real>* entries) {
    const Entry<Real>* parent = entries + lift.parent;
    const Entry<Real>* single = entries + lift.single;
    Entry<Real>* out = entries + lift.first;
    if (lift.kind == kSquare) {
        listed_forward(kSquarePairs, parent, single, out);
    } else if (lift.kind == kCube) {
        listed_forward(kCubePairs, parent, single, out);
    } else if (lift.kind == kDifference) {
        for (int k = 0; k < 3; ++k) out[k].start(single[k].value - parent[k].value);
    } else {
        const Lanes<Real> x = single[0].value, y = single[1].value, z = single[2].value;
        for (std::int32_t k = 0; k < lift.width; ++k) {
            out[3 * k].start(parent[k].value * x);
            out[3 * k + 1].start(parent[k].value * y);
            out[3 * k + 2].start(parent[k].value * z);
        }
    }
}

template <typename Real>
MLFF_INLINE void lift_reverse(const Lift& lift, Entry<Real>* entries) {
    Entry<Real>* parent = entries + lift.parent;
    Entry<Real>* single = entries + lift.single;
    const Entry<Real>* made = entries + lift.first;
    if (lift.kind == kSquare) {
        square_reverse(single, made);
    } else if (lift.kind == kCube) {
        listed_reverse(kCubePairs, parent, single, made);
    } else if (lift.kind == kDifference) {
        for (int k = 0; k < 3; ++k) {
            single[k].adjoint += made[k].adjoint;
            parent[k].adjoint -= made[k].adjoint;
        }
    } else {
        const Lanes<Real> x = single[0].value, y = single[1].value, z = single[2].value;
        Lanes<Real> gx = single[0].adjoint, gy = single[1].adjoint, gz = single[2].adjoint;
        for (std::int32_t k = 0; k < lift.width; ++k) {
            const Lanes<Real> value = parent[k].value;
            const Lanes<Real> a = made[3 * k].adjoint, b = made[3 * k + 1].adjoint, c = made[3 * k + 2].adjoint;
            gx += a * value;
            gy += b * value;
            gz += c * value;
            parent[k].adjoint += a * x + b * y + c * z;
        }
        single[0].adjoint = gx;
        single[1].adjoint = gy;
        single[2].adjoint = gz;
    }
}

}  // namespace mlff::MLFF_ISA
