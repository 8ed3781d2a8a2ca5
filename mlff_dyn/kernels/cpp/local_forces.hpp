// Energy and forces of the local part, block by block.
//
// What a block needs of its neighbors inside the cutoff is kept in records: direction, inverse distance, radial
// functions and their slopes, harmonics. From them come the sums A, from these lambda = dE/dA, and from lambda the
// slope of the energy with the vector to each neighbor.
#pragma once

#include "local_functions.hpp"
#include "local_products.hpp"

namespace mlff::MLFF_ISA {

template <typename Real>
struct LocalScratch {
    LocalScratch(const LocalProgram<Real>& program, void* memory)
        : records(static_cast<Lanes<Real>*>(memory)),
          sums(records + (program.max_neighbors + 1) * program.record_size()),
          slopes(sums + program.n_channels() * program.n_harmonics()),
          weights(slopes + program.n_channels() * program.n_harmonics()),
          numbers(reinterpret_cast<std::int32_t*>(weights + program.n_harmonics())) {}

    Lanes<Real>* records;
    Lanes<Real>* sums;      // A[channel][lm]
    Lanes<Real>* slopes;    // lambda[kind][lm][n]
    Lanes<Real>* weights;   // [lm]
    std::int32_t* numbers;  // neighbor of each record
};

// Places in a record.
constexpr std::ptrdiff_t kInverse = 3, kRadial = 4;

template <typename Real>
MLFF_INLINE bool any_less(Lanes<Real> a, Lanes<Real> b) {
    typedef long long Words __attribute__((vector_size(MLFF_BYTES)));
    const Words is_less = (Words)(a < b);
    long long any = 0;
    for (int k = 0; k < MLFF_BYTES / 8; ++k) any |= is_less[k];
    return any != 0;
}

// Starts the records of neighbors of which any lane is inside the cutoff; returns how many there are now. The distance
// is kept in the place of the first radial function.
template <typename Real>
static std::ptrdiff_t find_inside(const LocalProgram<Real>& program, const LocalBlock<Real>& block,
                                  std::ptrdiff_t kind, const Real* u, std::ptrdiff_t n_records,
                                  const LocalScratch<Real>& scratch) {
    const Vector3<Real> home = gather(u, block.places);
    const Lanes<Real> limit = broadcast(program.radial.cutoff * program.radial.cutoff);
    Lanes<Real>* record = scratch.records + n_records * program.record_size();
    for (std::int32_t number = block.ends[kind]; number < block.ends[kind + 1]; ++number) {
        const Lanes<Real>* rest = reinterpret_cast<const Lanes<Real>*>(block.vectors) + 3 * number;
        const Vector3<Real> end = gather(u, block.places + (number + 1) * kLanes<Real>);
        const Vector3<Real> vector = {rest[0] + (end.x - home.x), rest[1] + (end.y - home.y),
                                      rest[2] + (end.z - home.z)};
        const Lanes<Real> square = dot(vector, vector);
        if (!any_less<Real>(square, limit)) continue;
        const Lanes<Real> distance = square_root<Real>(square), inverse = Real(1) / distance;
        record[0] = vector.x * inverse;
        record[1] = vector.y * inverse;
        record[2] = vector.z * inverse;
        record[kInverse] = inverse;
        record[kRadial] = distance;
        record += program.record_size();
        scratch.numbers[n_records++] = number;
    }
    return n_records;
}

template <typename Real>
MLFF_INLINE Vector3<Real> direction_of(const Lanes<Real>* record) {
    return {record[0], record[1], record[2]};
}

template <typename Real, int LMax>
static void fill_records(const LocalProgram<Real>& program, Lanes<Real>* record, std::ptrdiff_t n_records) {
    for (std::ptrdiff_t k = 0; k < n_records; ++k, record += program.record_size()) {
        Lanes<Real>* values = record + kRadial;
        const Lanes<Real> distance = *values;
        radial_functions<Real>(program.radial, distance, values, values + program.radial.n_radial);
        harmonics<Real, LMax>(direction_of<Real>(record), values + 2 * program.radial.n_radial);
    }
}

// A of the records of one kind of neighbor.
template <typename Real>
static void sum_records(const LocalProgram<Real>& program, const Lanes<Real>* record, std::ptrdiff_t n_records,
                        Lanes<Real>* sums) {
    const std::ptrdiff_t n_radial = program.radial.n_radial, n_harmonics = program.n_harmonics();
    const Lanes<Real>* radial = record + kRadial;
    for_tiles(n_radial, n_harmonics, [&](std::ptrdiff_t n, std::ptrdiff_t lm, auto rows, auto columns) {
        sum_outer_products<Real, rows.value, columns.value>(radial + n, radial + 2 * n_radial + lm, n_records,
                                                            program.record_size(), sums + n * n_harmonics + lm,
                                                            n_harmonics);
    });
}

// Lambda from coefficients p and 2 t; returns the energy.
template <typename Real, typename Factor>
static Lanes<Real> differentiate(const LocalProgram<Real>& program, const Factor* pair, const Factor* matrix,
                                 const LocalScratch<Real>& scratch) {
    const std::ptrdiff_t n_radial = program.radial.n_radial, n_harmonics = program.n_harmonics();
    const std::ptrdiff_t n_channels = program.n_channels();
    Lanes<Real> twice = {};
    for (std::ptrdiff_t l = 0; l <= program.l_max; ++l, matrix += n_channels * n_channels) {
        const Lanes<Real>* sums = scratch.sums + l * l;
        for (std::ptrdiff_t other = 0; other < program.n_kinds; ++other) {
            const std::ptrdiff_t first = other * n_radial;
            Lanes<Real>* out = scratch.slopes + first * n_harmonics + l * l * n_radial;
            for_tiles(n_radial, 2 * l + 1, [&](std::ptrdiff_t n, std::ptrdiff_t m, auto rows, auto columns) {
                const Factor* bias = l == 0 ? pair + first + n : nullptr;
                twice += multiply_symmetric<Real, rows.value, columns.value>(
                    matrix + first + n, bias, sums + m, n_harmonics, n_channels, first + n, out + m * n_radial + n, 1,
                    n_radial);
            });
        }
    }
    return Real(0.5) * twice;
}

// Adds products of three sums to lambda; returns their energy.
template <typename Real>
static Lanes<Real> add_cubic(const CubicTable<Real>& table, const LocalScratch<Real>& scratch) {
    const Lanes<Real> share = *reinterpret_cast<const Lanes<Real>*>(table.share);
    Lanes<Real> energy = {};
    for (std::ptrdiff_t k = 0; k < table.n_pairs; ++k) {
        const typename CubicTable<Real>::Place a = table.pairs[2 * k], b = table.pairs[2 * k + 1];
        const Lanes<Real> first = share * scratch.sums[a.sum], second = scratch.sums[b.sum];
        const Lanes<Real> product = first * second;
        Lanes<Real> sum = {};
        for (std::int32_t term = table.starts[k]; term < table.starts[k + 1]; ++term) {
            const typename CubicTable<Real>::Place c = table.thirds[term];
            const Lanes<Real> coefficient = broadcast(table.coefficients[term]);
            sum += coefficient * scratch.sums[c.sum];
            scratch.slopes[c.slope] += coefficient * product;
        }
        scratch.slopes[a.slope] += share * sum * second;
        scratch.slopes[b.slope] += sum * first;
        energy += sum * product;
    }
    return energy;
}

// Slope of the energy with the vector of a record.
template <typename Real, int LMax>
MLFF_INLINE Vector3<Real> record_slope(std::ptrdiff_t n_radial, const Lanes<Real>* record, const Lanes<Real>* lambda,
                                       Lanes<Real>* weights) {
    const Lanes<Real>* radial = record + kRadial;
    const Lanes<Real>* values = radial + 2 * n_radial;
    Lanes<Real> along = {};
    for_parts<kTileRows>(n_radial, [&](std::ptrdiff_t first, std::ptrdiff_t size) {
        with_size<kTileRows>(size, [&](auto rows) {
            LaneList<Real, rows.value> functions, sums;
            functions.load(radial + first);
            sums.fill(Lanes<Real>{});
            for (int lm = 0; lm < n_harmonics(LMax); ++lm) {
                Lanes<Real> weight = first == 0 ? Lanes<Real>{} : weights[lm];
                functions.add_column(lambda + lm * n_radial + first, values[lm], sums, weight);
                weights[lm] = weight;
            }
            along += sums.dot(radial + n_radial + first);
        });
    });
    const Vector3<Real> direction = direction_of<Real>(record);
    const Vector3<Real> turning = harmonic_slope<Real, LMax>(direction, weights);
    const Lanes<Real> inverse = record[kInverse];
    return {turning.x * inverse + direction.x * along, turning.y * inverse + direction.y * along,
            turning.z * inverse + direction.z * along};
}

template <typename Real>
MLFF_INLINE double add_up(Lanes<Real> lanes) {
    double sum = 0.0;
    for (int lane = 0; lane < kLanes<Real>; ++lane) sum += static_cast<double>(lanes[lane]);
    return sum;
}

// Adds slope x vector.
template <typename Real>
static void add_virial(const Vector3<Real>& slope, const Real* vector, double* virial) {
    const Lanes<Real>* rest = reinterpret_cast<const Lanes<Real>*>(vector);
    for (int axis = 0; axis < 3; ++axis) {
        virial[axis] += add_up<Real>(slope.x * rest[axis]);
        virial[3 + axis] += add_up<Real>(slope.y * rest[axis]);
        virial[6 + axis] += add_up<Real>(slope.z * rest[axis]);
    }
}

template <typename Real, int LMax>
static double run_local_block(const LocalProgram<Real>& program, const LocalBlock<Real>& block, const Real* u,
                              Real* forces, double* virial, const LocalScratch<Real>& scratch) {
    const std::ptrdiff_t n_radial = program.radial.n_radial, per_kind = n_radial * n_harmonics(LMax);
    std::ptrdiff_t n_records = 0;
    for (std::ptrdiff_t kind = 0; kind < program.n_kinds; ++kind) {
        Lanes<Real>* records = scratch.records + n_records * program.record_size();
        const std::ptrdiff_t last = find_inside(program, block, kind, u, n_records, scratch);
        fill_records<Real, LMax>(program, records, last - n_records);
        sum_records(program, records, last - n_records, scratch.sums + kind * per_kind);
        n_records = last;
    }
    Lanes<Real> energy = block.is_mixed ? differentiate(program, reinterpret_cast<const Lanes<Real>*>(block.pair),
                                                        reinterpret_cast<const Lanes<Real>*>(block.triple), scratch)
                                        : differentiate(program, block.pair, block.triple, scratch);
    for (std::ptrdiff_t k = 0; k < block.n_cubic; ++k) energy += add_cubic(block.cubic[k], scratch);
    Vector3<Real> home = {};
    const Lanes<Real>* record = scratch.records;
    std::ptrdiff_t kind = 0;
    for (std::ptrdiff_t k = 0; k < n_records; ++k, record += program.record_size()) {
        const std::int32_t number = scratch.numbers[k];
        while (number >= block.ends[kind + 1]) ++kind;
        const Vector3<Real> slope =
            record_slope<Real, LMax>(n_radial, record, scratch.slopes + kind * per_kind, scratch.weights);
        home = {home.x - slope.x, home.y - slope.y, home.z - slope.z};
        scatter_subtract(forces, block.places + (number + 1) * kLanes<Real>, slope);
        if (virial != nullptr) add_virial(slope, block.vectors + 3 * number * kLanes<Real>, virial);
    }
    scatter_subtract(forces, block.places, home);
    return add_up<Real>(energy);
}

template <typename Real, int LMax>
static void run_local_blocks(const LocalProgram<Real>& program, std::ptrdiff_t first, std::ptrdiff_t last,
                             const Real* u, Real* forces, double* energies, double* virial, void* memory) {
    const LocalScratch<Real> scratch(program, memory);
    for (std::ptrdiff_t k = first; k < last; ++k) {
        energies[k] = run_local_block<Real, LMax>(program, program.blocks[k], u, forces, virial, scratch);
    }
}

template <typename Real, int LMax = 0>
static void local_forces(const LocalProgram<Real>& program, std::ptrdiff_t first, std::ptrdiff_t last, const Real* u,
                         Real* forces, double* energies, double* virial, void* memory) {
    if (program.l_max == LMax) {
        run_local_blocks<Real, LMax>(program, first, last, u, forces, energies, virial, memory);
    } else if constexpr (LMax < kLargestL) {
        local_forces<Real, LMax + 1>(program, first, last, u, forces, energies, virial, memory);
    }
}

}  // namespace mlff::MLFF_ISA
