// Rows of the local part. Each atom collects its own: as the center of its neighbors, and as a neighbor of theirs, which
// see it in the opposite direction. The derivative of a product is formed as that of its first factor times the second.
#pragma once

#include "local_neighbors.hpp"

namespace mlff::MLFF_ISA {

// Adds to the sums of the listed atoms, which are at the places 0, 1, ...
static void local_sums(const LocalDesign& design, const LocalFrame& frame, std::ptrdiff_t n_atoms,
                       const std::int32_t* atoms, double* sums, void* scratch) {
    constexpr int n_lanes = kLanes<double>;
    Memory memory = {static_cast<double*>(scratch)};
    const NeighborLanes lanes(design, memory);
    const std::ptrdiff_t n_radial = design.radial.n_radial, n_channels = design.n_channels();
    double* radial = memory.take(padded(n_radial));
    for (std::ptrdiff_t n = n_radial; n < padded(n_radial); ++n) radial[n] = 0.0;
    for (std::ptrdiff_t place = 0; place < n_atoms; ++place, sums += sums_stride(design)) {
        lanes.for_each(frame, atoms[place], [&](const Neighbor& neighbor) {
            for (std::ptrdiff_t n = 0; n < n_radial; ++n) radial[n] = neighbor.values[n * n_lanes];
            double* out = sums + design.neighbor_kinds[neighbor.number] * n_radial;
            for (std::ptrdiff_t k = 0; k < design.n_harmonics(); ++k, out += n_channels) {
                const Lanes<double> y = broadcast(neighbor.harmonics[k * n_lanes]);
                for (std::ptrdiff_t n = 0; n < n_radial; n += n_lanes) {
                    store_anywhere(out + n, load_anywhere(out + n) + y * load_anywhere(radial + n));
                }
            }
        });
    }
}

// Sums over m of the sums of an atom times weights, which are `stride` apart: out[l][channel].
MLFF_INLINE void contract(const LocalDesign& design, const double* sums, const double* weights, std::ptrdiff_t stride,
                          double* out) {
    const std::ptrdiff_t n_channels = design.n_channels();
    for (std::ptrdiff_t l = 0; l <= design.l_max; ++l, out += n_channels) {
        // What the last vector writes behind its end is overwritten by the next l.
        for (std::ptrdiff_t c = 0; c < n_channels; c += kLanes<double>) {
            Lanes<double> sum = {};
            for (std::ptrdiff_t k = l * l; k < (l + 1) * (l + 1); ++k) {
                sum += broadcast(weights[k * stride]) * load_anywhere(sums + k * n_channels + c);
            }
            store_anywhere(out + c, sum);
        }
    }
}

// The same for the harmonics and the three components of their gradients at once; out[4][column].
MLFF_INLINE void contract_neighbor(const LocalDesign& design, const double* sums, const Neighbor& neighbor,
                                   double sign_of_odd, double* out) {
    constexpr int n_lanes = kLanes<double>;
    const std::ptrdiff_t n_channels = design.n_channels(), stride = column_stride(design);
    double* next = out;
    for (std::ptrdiff_t l = 0; l <= design.l_max; ++l, next += n_channels) {
        const Lanes<double> sign = broadcast(l % 2 ? sign_of_odd : 1.0);
        for (std::ptrdiff_t c = 0; c < n_channels; c += n_lanes) {
            Lanes<double> sum = {}, x = {}, y = {}, z = {};
            for (std::ptrdiff_t k = l * l; k < (l + 1) * (l + 1); ++k) {
                const Lanes<double> a = load_anywhere(sums + k * n_channels + c);
                const double* gradient = neighbor.gradients + 3 * k * n_lanes;
                sum += broadcast(neighbor.harmonics[k * n_lanes]) * a;
                x += broadcast(gradient[0]) * a;
                y += broadcast(gradient[n_lanes]) * a;
                z += broadcast(gradient[2 * n_lanes]) * a;
            }
            store_anywhere(next + c, sign * sum);
            store_anywhere(next + stride + c, sign * x);
            store_anywhere(next + 2 * stride + c, sign * y);
            store_anywhere(next + 3 * stride + c, sign * z);
        }
    }
    *next = 1.0;
    for (int axis = 1; axis < 4; ++axis) next[axis * stride] = 0.0;
}

// Adds slope[n] * along[row] + value[n] / r * across[row] to block[n][of n_rows][column] for the first rows.
MLFF_INLINE void add_rows(const LocalDesign& design, const Neighbor& neighbor, std::ptrdiff_t count,
                          const double* along, const double* across, std::ptrdiff_t n_rows, double* block) {
    constexpr int n_lanes = kLanes<double>;
    const std::ptrdiff_t n_radial = design.radial.n_radial, stride = column_stride(design);
    for (std::ptrdiff_t row = 0; row < count; ++row) {
        for (std::ptrdiff_t column = 0; column < design.n_columns(); column += n_lanes) {
            const Lanes<double> a = load_anywhere(along + row * stride + column),
                                b = load_anywhere(across + row * stride + column);
            double* out = block + row * stride + column;
            for (std::ptrdiff_t n = 0; n < n_radial; ++n, out += n_rows * stride) {
                store_anywhere(out, load_anywhere(out) + broadcast(neighbor.slopes[n * n_lanes]) * a +
                                        broadcast(neighbor.by_radius[n * n_lanes]) * b);
            }
        }
    }
}

// Raw rows: blocks [kind of the center][kind of the neighbor], each [n][row][column].
class RawRows {
public:
    RawRows(const LocalDesign& design, Memory& memory)
        : design_(design),
          forces_(memory.take(raw_size(design, kForceRows))),
          totals_(memory.take(raw_size(design, kTotalRows))),
          parts_(memory.take(4 * column_stride(design))),
          along_(memory.take(kVirialRows * column_stride(design))),
          across_(memory.take(kVirialRows * column_stride(design))) {}

    MLFF_INLINE_MEMBER void clear_totals() const { clear(totals_, raw_size(design_, kTotalRows)); }

    // Blocks that an atom of a kind has a part in.
    template <typename Visit>
    MLFF_INLINE_MEMBER void for_each_block(std::ptrdiff_t kind, const Visit& visit) const {
        for (std::ptrdiff_t other = 0; other < design_.n_kinds; ++other) {
            visit(kind, other);
            if (other != kind) visit(other, kind);
        }
    }

    MLFF_INLINE_MEMBER void clear_forces(std::ptrdiff_t kind) const {
        for_each_block(kind, [&](std::ptrdiff_t center, std::ptrdiff_t other) {
            clear(block(forces_, kForceRows, center, other), block_size(kForceRows));
        });
    }

    // The pair of an atom, whose force is meant, and a neighbor; one of them is the center that has the sums.
    MLFF_INLINE_MEMBER void add_pair(const Neighbor& neighbor, std::ptrdiff_t kind, const double* sums) const {
        const std::ptrdiff_t other = design_.neighbor_kinds[neighbor.number];
        contract_neighbor(design_, sums, neighbor, 1.0, parts_);
        add_force(neighbor, kind, other);
    }
    MLFF_INLINE_MEMBER void add_opposite_pair(const Neighbor& neighbor, std::ptrdiff_t kind, const double* sums) const {
        const std::ptrdiff_t other = design_.neighbor_kinds[neighbor.number];
        contract_neighbor(design_, sums, neighbor, -1.0, parts_);
        add_force(neighbor, other, kind);
    }

    // Virial of the pair that was added last, whose center has the given kind.
    MLFF_INLINE_MEMBER void add_virial(const Neighbor& neighbor, std::ptrdiff_t kind) const {
        constexpr int first[] = {0, 1, 2, 1, 0, 0}, second[] = {0, 1, 2, 2, 2, 1};
        const std::ptrdiff_t stride = column_stride(design_);
        const double* vector = design_.vectors + 3 * neighbor.number;
        for (std::ptrdiff_t row = 0; row < kVirialRows; ++row) {
            const int a = first[row], b = second[row];
            const double va = 0.5 * vector[a], vb = 0.5 * vector[b];
            const double along = neighbor.direction[a] * vb + neighbor.direction[b] * va;
            const double *part_a = parts_ + (1 + a) * stride, *part_b = parts_ + (1 + b) * stride;
            for (std::ptrdiff_t k = 0; k < stride; ++k) {
                along_[row * stride + k] = along * parts_[k];
                across_[row * stride + k] = vb * part_a[k] + va * part_b[k];
            }
        }
        add_rows(design_, neighbor, kVirialRows, along_, across_, kTotalRows,
                 block(totals_, kTotalRows, kind, design_.neighbor_kinds[neighbor.number]));
    }

    MLFF_INLINE_MEMBER void add_energy(std::ptrdiff_t kind, const double* sums) const {
        const std::ptrdiff_t n_channels = design_.n_channels(), stride = column_stride(design_);
        double* energy = block(totals_, kTotalRows, kind, 0) + kVirialRows * stride;
        for (std::ptrdiff_t c = 0; c < n_channels; ++c, energy += kTotalRows * stride) {
            contract(design_, sums, sums + c, n_channels, parts_);
            const std::ptrdiff_t last = design_.n_columns() - 1;
            for (std::ptrdiff_t k = 0; k < last; ++k) energy[k] += 0.5 * parts_[k];
            energy[last] += sums[c];
        }
    }

    // Adds to out[row][function].
    MLFF_INLINE_MEMBER void add_forces_to(double* out, std::ptrdiff_t kind) const {
        for_each_block(kind, [&](std::ptrdiff_t center, std::ptrdiff_t other) {
            add_block_to<kForceRows>(forces_, out, center, other);
        });
    }
    MLFF_INLINE_MEMBER void add_totals_to(double* out) const {
        for (std::ptrdiff_t center = 0; center < design_.n_kinds; ++center) {
            for (std::ptrdiff_t other = 0; other < design_.n_kinds; ++other) {
                add_block_to<kTotalRows>(totals_, out, center, other);
            }
        }
    }

private:
    MLFF_INLINE_MEMBER std::ptrdiff_t block_size(std::ptrdiff_t n_rows) const {
        return design_.radial.n_radial * n_rows * column_stride(design_);
    }
    MLFF_INLINE_MEMBER double* block(double* raw, std::ptrdiff_t n_rows, std::ptrdiff_t center,
                                     std::ptrdiff_t other) const {
        return raw + (center * design_.n_kinds + other) * block_size(n_rows);
    }
    static MLFF_INLINE_MEMBER void clear(double* values, std::ptrdiff_t count) {
        for (std::ptrdiff_t k = 0; k < count; ++k) values[k] = 0.0;
    }

    MLFF_INLINE_MEMBER void add_force(const Neighbor& neighbor, std::ptrdiff_t center, std::ptrdiff_t other) const {
        const std::ptrdiff_t stride = column_stride(design_);
        for (int axis = 0; axis < 3; ++axis) {
            for (std::ptrdiff_t k = 0; k < stride; ++k) along_[axis * stride + k] = neighbor.direction[axis] * parts_[k];
        }
        add_rows(design_, neighbor, kForceRows, along_, parts_ + stride, kForceRows,
                 block(forces_, kForceRows, center, other));
    }

    template <int NRows>
    MLFF_INLINE_MEMBER void add_block_to(const double* raw, double* out, std::ptrdiff_t center,
                                         std::ptrdiff_t other) const {
        const std::ptrdiff_t n_radial = design_.radial.n_radial, n_columns = design_.n_columns(),
                             stride = column_stride(design_), first = other * n_radial;
        raw += (center * design_.n_kinds + other) * block_size(NRows);
        const std::int32_t* functions = design_.functions + (center * design_.n_channels() + first) * n_columns;
        const double* weights = design_.weights + first * n_columns;
        for (std::ptrdiff_t n = 0; n < n_radial; ++n, raw += NRows * stride) {
            for (std::ptrdiff_t column = 0; column < n_columns; ++column) {
                const std::int32_t function = functions[n * n_columns + column];
                if (function < 0) continue;
                for (int row = 0; row < NRows; ++row) {
                    out[row * design_.n_functions + function] += weights[n * n_columns + column] * raw[row * stride + column];
                }
            }
        }
    }

    const LocalDesign& design_;
    double *forces_, *totals_, *parts_, *along_, *across_;
};

// Adds the rows of the forces on the listed atoms to rows[3 * place + axis][function], and to totals[kTotalRows][function],
// if there are any, the share of these atoms as centers.
static void local_rows(const LocalDesign& design, const LocalFrame& frame, const LocalSums& sums,
                       std::ptrdiff_t n_atoms, const std::int32_t* atoms, double* rows, double* totals, void* scratch) {
    Memory memory = {static_cast<double*>(scratch)};
    const NeighborLanes lanes(design, memory);
    const RawRows raw(design, memory);
    const auto sums_of = [&](std::ptrdiff_t atom) { return sums.values + sums.places[atom] * sums_stride(design); };
    if (totals != nullptr) raw.clear_totals();
    for (std::ptrdiff_t place = 0; place < n_atoms; ++place) {
        const std::ptrdiff_t atom = atoms[place], kind = design.kinds[atom / frame.n_cells];
        raw.clear_forces(kind);
        lanes.for_each(frame, atom, [&](const Neighbor& neighbor) {
            raw.add_pair(neighbor, kind, sums_of(atom));
            if (totals != nullptr) raw.add_virial(neighbor, kind);
            raw.add_opposite_pair(neighbor, kind, sums_of(neighbor.atom));
        });
        raw.add_forces_to(rows + kForceRows * place * design.n_functions, kind);
        if (totals != nullptr) raw.add_energy(kind, sums_of(atom));
    }
    if (totals != nullptr) raw.add_totals_to(totals);
}

}  // namespace mlff::MLFF_ISA
