// Radial functions and harmonics of the neighbors of an atom, several neighbors side by side.
#pragma once

#include "local_design.hpp"
#include "local_functions.hpp"

namespace mlff::MLFF_ISA {

MLFF_INLINE Lanes<double> load_anywhere(const double* address) {
    Lanes<double> value;
    __builtin_memcpy(&value, address, sizeof value);
    return value;
}

MLFF_INLINE void store_anywhere(double* address, Lanes<double> value) {
    __builtin_memcpy(address, &value, sizeof value);
}

// Scratch memory is handed out piece by piece.
struct Memory {
    double* next;

    MLFF_INLINE_MEMBER double* take(std::ptrdiff_t count) {
        double* const first = next;
        next += count;
        return first;
    }
    MLFF_INLINE_MEMBER Lanes<double>* take_lanes(std::ptrdiff_t count) {
        return reinterpret_cast<Lanes<double>*>(take(count * kPadding));
    }
};

// One neighbor; its functions are kLanes apart.
struct Neighbor {
    std::ptrdiff_t number;  // in the tables
    std::ptrdiff_t atom;
    double direction[3];
    const double* values;     // [n_radial]
    const double* slopes;     // [n_radial]
    const double* by_radius;  // [n_radial], values / r
    const double* harmonics;  // [lm]
    const double* gradients;  // [lm][3], across the direction
};

class NeighborLanes {
public:
    NeighborLanes(const LocalDesign& design, Memory& memory)
        : design_(design),
          x_(memory.take(padded(design.most_neighbors))),
          y_(memory.take(padded(design.most_neighbors))),
          z_(memory.take(padded(design.most_neighbors))),
          numbers_(memory.take(padded(design.most_neighbors))),
          values_(memory.take_lanes(design.radial.n_radial)),
          slopes_(memory.take_lanes(design.radial.n_radial)),
          by_radius_(memory.take_lanes(design.radial.n_radial)),
          harmonics_(memory.take_lanes(design.n_harmonics())),
          gradients_(memory.take_lanes(3 * design.n_harmonics())) {}

    // Runs visit(neighbor) for the neighbors of an atom inside the cutoff.
    template <typename Visit>
    MLFF_INLINE_MEMBER void for_each(const LocalFrame& frame, std::ptrdiff_t atom, const Visit& visit) const {
        constexpr int n_lanes = kLanes<double>;
        const std::ptrdiff_t cell = atom % frame.n_cells, count = find(frame, atom);
        for (std::ptrdiff_t first = 0; first < count; first += n_lanes) {
            const Vector3<double> direction = form(first);
            for (std::ptrdiff_t lane = 0; lane < n_lanes && first + lane < count; ++lane) {
                const auto number = static_cast<std::ptrdiff_t>(numbers_[first + lane]);
                visit(Neighbor{number,
                               frame.neighbor_atoms.atom(number, cell),
                               {direction.x[lane], direction.y[lane], direction.z[lane]},
                               reinterpret_cast<const double*>(values_) + lane,
                               reinterpret_cast<const double*>(slopes_) + lane,
                               reinterpret_cast<const double*>(by_radius_) + lane,
                               reinterpret_cast<const double*>(harmonics_) + lane,
                               reinterpret_cast<const double*>(gradients_) + lane});
            }
        }
    }

private:
    // Lists the neighbors inside the cutoff, the last one again to fill a vector, and counts them.
    MLFF_INLINE_MEMBER std::ptrdiff_t find(const LocalFrame& frame, std::ptrdiff_t atom) const {
        const std::ptrdiff_t site = atom / frame.n_cells, cell = atom % frame.n_cells;
        const double* home = frame.displacements + 3 * atom;
        const double limit = design_.radial.cutoff * design_.radial.cutoff;
        std::ptrdiff_t count = 0;
        for (std::ptrdiff_t k = design_.starts[site]; k < design_.starts[site + 1]; ++k) {
            const double* moved = frame.displacements + 3 * frame.neighbor_atoms.atom(k, cell);
            const double* vector = frame.vectors + 3 * k;
            const double x = vector[0] + moved[0] - home[0], y = vector[1] + moved[1] - home[1],
                         z = vector[2] + moved[2] - home[2];
            x_[count] = x;
            y_[count] = y;
            z_[count] = z;
            numbers_[count] = static_cast<double>(k);
            count += x * x + y * y + z * z < limit;
        }
        for (std::ptrdiff_t k = count; count > 0 && k % kLanes<double> != 0; ++k) {
            x_[k] = x_[count - 1];
            y_[k] = y_[count - 1];
            z_[k] = z_[count - 1];
        }
        return count;
    }

    // Functions of the neighbors from `first` on; their directions are returned.
    MLFF_INLINE_MEMBER Vector3<double> form(std::ptrdiff_t first) const {
        const Vector3<double> vector = {load_anywhere(x_ + first), load_anywhere(y_ + first),
                                        load_anywhere(z_ + first)};
        const Lanes<double> r = square_root<double>(dot(vector, vector)), inverse = 1.0 / r;
        const Vector3<double> direction = {vector.x * inverse, vector.y * inverse, vector.z * inverse};
        radial_functions<double>(design_.radial, r, values_, slopes_);
        for (std::ptrdiff_t n = 0; n < design_.radial.n_radial; ++n) by_radius_[n] = values_[n] * inverse;
        switch (design_.l_max) {
            case 0: form_harmonics<0>(direction); break;
            case 1: form_harmonics<1>(direction); break;
            case 2: form_harmonics<2>(direction); break;
            case 3: form_harmonics<3>(direction); break;
            case 4: form_harmonics<4>(direction); break;
            case 5: form_harmonics<5>(direction); break;
            case 6: form_harmonics<6>(direction); break;
        }
        return direction;
    }

    template <int LMax>
    MLFF_INLINE_MEMBER void form_harmonics(const Vector3<double>& direction) const {
        harmonics_and_gradients<double, LMax>(direction, harmonics_, reinterpret_cast<Vector3<double>*>(gradients_));
    }

    const LocalDesign& design_;
    double *x_, *y_, *z_, *numbers_;
    Lanes<double>*values_, *slopes_, *by_radius_, *harmonics_, *gradients_;
};

}  // namespace mlff::MLFF_ISA
