// Orders 3 and higher by lifting: products of a few displacements are formed once, the energy is bilinear in them,
// and the gradient goes back through the same products (reverse mode), two multiply-adds per coefficient.
#pragma once

#include "lanes.hpp"

namespace mlff::MLFF_ISA {

// Rows of one tile. A recursive struct keeps values and adjoints in registers; an array would go to memory.
template <int N>
struct Rows {
    Lanes value;
    Lanes adjoint;
    Rows<N - 1> rest;

    MLFF_INLINE_MEMBER void load(const Lanes* z) {
        value = *z;
        adjoint = Lanes{};
        rest.load(z + 1);
    }
    // The three partial sums of the column's adjoint rotate, so that no chain of additions is long.
    MLFF_INLINE_MEMBER void column(const double* coefficients, Lanes u, Lanes& a, Lanes& b, Lanes& c) {
        const Lanes coefficient = broadcast(*coefficients);
        adjoint += coefficient * u;
        a += coefficient * value;
        rest.column(coefficients + 1, u, b, c, a);
    }
    MLFF_INLINE_MEMBER void finish(Lanes* g, Lanes& energy) const {
        *g += adjoint;
        energy += value * adjoint;
        rest.finish(g + 1, energy);
    }
};

template <>
struct Rows<0> {
    MLFF_INLINE_MEMBER void load(const Lanes*) {}
    MLFF_INLINE_MEMBER void column(const double*, Lanes, Lanes&, Lanes&, Lanes&) {}
    MLFF_INLINE_MEMBER void finish(Lanes*, Lanes&) const {}
};

template <int N>
static void run_tile(const Tile& tile, const std::int32_t* columns, const double* coefficients, const Lanes* z,
                     Lanes* g, Lanes& energy) {
    Rows<N> rows;
    rows.load(z + tile.first_row);
    for (std::int32_t k = 0; k < tile.n_columns; ++k) {
        const std::int32_t column = columns[k];
        Lanes a = g[column], b = {}, c = {};
        rows.column(coefficients, z[column], a, b, c);
        g[column] = a + (b + c);
        coefficients += N;
    }
    rows.finish(g + tile.first_row, energy);
}

// Components of the square of a vector, and of its cube as (component of the square) * (component of the vector).
constexpr int kSquarePairs[6][2] = {{0, 0}, {0, 1}, {0, 2}, {1, 1}, {1, 2}, {2, 2}};
constexpr int kCubePairs[10][2] = {{0, 0}, {0, 1}, {0, 2}, {1, 1}, {1, 2}, {2, 2}, {3, 1}, {3, 2}, {4, 2}, {5, 2}};

template <int N>
MLFF_INLINE void listed_forward(const int (&pairs)[N][2], const Lanes* parent, const Lanes* single, Lanes* out) {
    for (int k = 0; k < N; ++k) out[k] = parent[pairs[k][0]] * single[pairs[k][1]];
}

template <int N>
MLFF_INLINE void listed_reverse(const int (&pairs)[N][2], const Lanes* parent, const Lanes* single, const Lanes* g,
                                Lanes* g_parent, Lanes* g_single) {
    for (int k = 0; k < N; ++k) {
        g_parent[pairs[k][0]] += g[k] * single[pairs[k][1]];
        g_single[pairs[k][1]] += g[k] * parent[pairs[k][0]];
    }
}

MLFF_INLINE void lift_forward(const Lift& lift, Lanes* z) {
    const Lanes* parent = z + lift.parent;
    const Lanes* single = z + lift.single;
    Lanes* out = z + lift.first;
    if (lift.kind == kSquare) {
        listed_forward(kSquarePairs, parent, single, out);
    } else if (lift.kind == kCube) {
        listed_forward(kCubePairs, parent, single, out);
    } else {
        const Lanes x = single[0], y = single[1], w = single[2];
        for (std::int32_t k = 0; k < lift.width; ++k) {
            out[3 * k] = parent[k] * x;
            out[3 * k + 1] = parent[k] * y;
            out[3 * k + 2] = parent[k] * w;
        }
    }
}

MLFF_INLINE void lift_reverse(const Lift& lift, const Lanes* z, Lanes* g) {
    const Lanes* parent = z + lift.parent;
    const Lanes* single = z + lift.single;
    const Lanes* made = g + lift.first;
    Lanes* g_parent = g + lift.parent;
    Lanes* g_single = g + lift.single;
    if (lift.kind == kSquare) {
        listed_reverse(kSquarePairs, parent, single, made, g_parent, g_single);
    } else if (lift.kind == kCube) {
        listed_reverse(kCubePairs, parent, single, made, g_parent, g_single);
    } else {
        const Lanes x = single[0], y = single[1], w = single[2];
        Lanes gx = g_single[0], gy = g_single[1], gw = g_single[2];
        for (std::int32_t k = 0; k < lift.width; ++k) {
            const Lanes p = parent[k];
            gx += made[3 * k] * p;
            gy += made[3 * k + 1] * p;
            gw += made[3 * k + 2] * p;
            g_parent[k] += made[3 * k] * x + made[3 * k + 1] * y + made[3 * k + 2] * w;
        }
        g_single[0] = gx;
        g_single[1] = gy;
        g_single[2] = gw;
    }
}

static void run_tiles(const LiftedChunk& chunk, const Lanes* z, Lanes* g, Lanes& energy) {
    for (std::ptrdiff_t index = 0; index < chunk.n_tiles; ++index) {
        const Tile& tile = chunk.tiles[index];
        const std::int32_t* columns = chunk.columns + tile.first_column;
        const double* coefficients = chunk.coefficients + tile.first_coefficient;
        switch (tile.n_rows) {
            case 9: run_tile<9>(tile, columns, coefficients, z, g, energy); break;
            case 6: run_tile<6>(tile, columns, coefficients, z, g, energy); break;
            case 3: run_tile<3>(tile, columns, coefficients, z, g, energy); break;
            default: run_tile<1>(tile, columns, coefficients, z, g, energy); break;
        }
    }
}

static double lifted_forces(const LiftedChunk& chunk, std::ptrdiff_t padded_cells, const double* u, double* forces,
                            double* scratch) {
    Lanes* z = reinterpret_cast<Lanes*>(scratch);
    Lanes* g = z + chunk.n_lifted;
    Lanes energy = {};
    for (std::ptrdiff_t cell = 0; cell < padded_cells; cell += kLanes) {
        for (std::ptrdiff_t slot = 0; slot < chunk.n_slots; ++slot) {
            const Vector3 atom = gather(u, chunk.slot_atoms + slot * padded_cells + cell);
            z[3 * slot] = atom.x;
            z[3 * slot + 1] = atom.y;
            z[3 * slot + 2] = atom.z;
        }
        for (std::ptrdiff_t k = 0; k < chunk.n_lifts; ++k) lift_forward(chunk.lifts[k], z);
        for (std::ptrdiff_t k = 0; k < chunk.n_lifted; ++k) g[k] = Lanes{};
        run_tiles(chunk, z, g, energy);
        for (std::ptrdiff_t k = chunk.n_lifts - 1; k >= 0; --k) lift_reverse(chunk.lifts[k], z, g);
        for (std::ptrdiff_t slot = 0; slot < chunk.n_slots; ++slot) {
            scatter_subtract(forces, chunk.slot_atoms + slot * padded_cells + cell,
                             {g[3 * slot], g[3 * slot + 1], g[3 * slot + 2]});
        }
    }
    return sum(energy);
}

}  // namespace mlff::MLFF_ISA
