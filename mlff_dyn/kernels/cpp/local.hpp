// The local part of the energy of one torus; owns the tables.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <numeric>
#include <string>
#include <type_traits>
#include <vector>

#include "aligned.hpp"
#include "dispatch.hpp"

namespace mlff {

// As it comes from Python; see LocalTables and LocalTerms in local_tables.py.
struct LocalInput {
    std::ptrdiff_t n_cells;
    std::vector<std::int32_t> kinds, starts, kinds_of_neighbors, neighbor_atoms;
    std::vector<double> vectors;
    double cutoff;
    std::ptrdiff_t n_polynomials, l_max, n_kinds;
    std::vector<double> radial, pair, triple;
};

template <typename Real>
class TorusLocal {
public:
    TorusLocal(const LocalInput& input, const std::string& isa)
        : n_lanes_(find_kernels(isa).vector_bytes / static_cast<std::ptrdiff_t>(sizeof(Real))),
          radial_(input.radial.begin(), input.radial.end()),
          pair_(input.pair.begin(), input.pair.end()) {
        for (const double value : input.triple) triple_.push_back(static_cast<Real>(2.0 * value));
        if constexpr (std::is_same_v<Real, double>) {
            function_ = find_kernels(isa).local64;
        } else {
            function_ = find_kernels(isa).local32;
        }
        const std::vector<Plan> plans = plan_blocks(input);
        const std::ptrdiff_t n_radial =
            static_cast<std::ptrdiff_t>(radial_.size()) / (2 * std::max<std::ptrdiff_t>(1, input.n_polynomials));
        std::ptrdiff_t max_neighbors = 0;
        for (const Plan& plan : plans) max_neighbors = std::max<std::ptrdiff_t>(max_neighbors, plan.ends.back());
        fill_blocks(input, plans);
        program_ = {{n_radial, input.n_polynomials, static_cast<Real>(input.cutoff), radial_.data()},
                    input.l_max,
                    input.n_kinds,
                    pair_.data(),
                    triple_.data(),
                    blocks_.data(),
                    max_neighbors};
    }

    TorusLocal(const TorusLocal&) = delete;
    TorusLocal& operator=(const TorusLocal&) = delete;

    std::ptrdiff_t n_blocks() const { return static_cast<std::ptrdiff_t>(blocks_.size()); }

    // See LocalFunction; of one replica.
    void add_forces(std::ptrdiff_t first, std::ptrdiff_t last, const Real* u, Real* forces, double* energies,
                    double* virial, AlignedBuffer<char>& scratch) const {
        void* memory = scratch.reserve(static_cast<std::size_t>(program_.scratch_size() * kMaxBytes));
        function_(program_, first, last, u, forces, energies, virial, memory);
    }

private:
    struct Plan {
        std::int32_t kind;
        std::vector<std::int32_t> sites, cells;  // of each lane that is in use
        std::vector<std::int32_t> ends;          // of the neighbors of each kind
    };

    // Neighbors of a site of kinds up to each one.
    static std::vector<std::int32_t> ends_of(const LocalInput& input, std::int32_t site) {
        std::vector<std::int32_t> ends = {0};
        const auto first = input.kinds_of_neighbors.begin() + input.starts[site];
        const auto last = input.kinds_of_neighbors.begin() + input.starts[site + 1];
        for (std::int32_t kind = 0; kind < input.n_kinds; ++kind) {
            ends.push_back(static_cast<std::int32_t>(std::upper_bound(first, last, kind) - first));
        }
        return ends;
    }

    // Atoms of one kind fill the lanes, those with equally many neighbors side by side.
    std::vector<Plan> plan_blocks(const LocalInput& input) const {
        std::vector<std::int32_t> sites(input.kinds.size());
        std::iota(sites.begin(), sites.end(), 0);
        std::stable_sort(sites.begin(), sites.end(), [&](std::int32_t a, std::int32_t b) {
            if (input.kinds[a] != input.kinds[b]) return input.kinds[a] < input.kinds[b];
            return ends_of(input, a) < ends_of(input, b);
        });
        std::vector<Plan> plans;
        for (const std::int32_t site : sites) {
            const std::vector<std::int32_t> ends = ends_of(input, site);
            for (std::int32_t cell = 0; cell < input.n_cells; ++cell) {
                if (plans.empty() || plans.back().kind != input.kinds[site] ||
                    static_cast<std::ptrdiff_t>(plans.back().sites.size()) == n_lanes_) {
                    plans.push_back({input.kinds[site], {}, {}, std::vector<std::int32_t>(ends.size(), 0)});
                }
                Plan& plan = plans.back();
                plan.sites.push_back(site);
                plan.cells.push_back(cell);
                std::int32_t end = 0;
                std::vector<std::int32_t> counts;
                for (std::size_t k = 1; k < ends.size(); ++k) {
                    counts.push_back(std::max(plan.ends[k] - plan.ends[k - 1], ends[k] - ends[k - 1]));
                }
                for (std::size_t k = 1; k < ends.size(); ++k) plan.ends[k] = end += counts[k - 1];
            }
        }
        return plans;
    }

    // Neighbor of a site, in the numbers of the tables, at a place of a plan, or -1.
    static std::int32_t find_neighbor(const LocalInput& input, const Plan& plan,
                                      const std::vector<std::int32_t>& ends, std::int32_t site, std::int32_t place) {
        std::size_t kind = 0;
        while (place >= plan.ends[kind + 1]) ++kind;
        const std::int32_t own = ends[kind] + place - plan.ends[kind];
        return own < ends[kind + 1] ? input.starts[site] + own : -1;
    }

    void fill_blocks(const LocalInput& input, const std::vector<Plan>& plans) {
        std::map<std::vector<std::int32_t>, std::size_t> first_vectors;  // by the sites in the lanes
        std::vector<std::vector<std::ptrdiff_t>> offsets;
        std::vector<Real> vectors;
        for (const Plan& plan : plans) {
            const std::size_t n_neighbors = static_cast<std::size_t>(plan.ends.back());
            const bool is_new = first_vectors.emplace(plan.sites, vectors.size()).second;
            offsets.push_back({static_cast<std::ptrdiff_t>(ends_.size()), static_cast<std::ptrdiff_t>(places_.size()),
                               static_cast<std::ptrdiff_t>(first_vectors[plan.sites])});
            ends_.insert(ends_.end(), plan.ends.begin(), plan.ends.end());
            const std::size_t first_place = places_.size(), first_vector = vectors.size();
            places_.resize(first_place + (n_neighbors + 1) * n_lanes_);
            if (is_new) vectors.resize(first_vector + 3 * n_neighbors * n_lanes_);
            for (std::ptrdiff_t lane = 0; lane < n_lanes_; ++lane) {
                const bool is_used = lane < static_cast<std::ptrdiff_t>(plan.sites.size());
                const std::int32_t site = plan.sites[is_used ? lane : 0], cell = plan.cells[is_used ? lane : 0];
                const std::int32_t home = static_cast<std::int32_t>(site * input.n_cells + cell);
                const std::vector<std::int32_t> ends = ends_of(input, site);
                places_[first_place + lane] = static_cast<std::int32_t>(kStride * home);
                for (std::size_t place = 0; place < n_neighbors; ++place) {
                    const std::int32_t neighbor =
                        is_used ? find_neighbor(input, plan, ends, site, static_cast<std::int32_t>(place)) : -1;
                    const std::int32_t atom =
                        neighbor < 0 ? home : input.neighbor_atoms[neighbor * input.n_cells + cell];
                    places_[first_place + (place + 1) * n_lanes_ + lane] = static_cast<std::int32_t>(kStride * atom);
                    for (std::size_t axis = 0; is_new && axis < 3; ++axis) {
                        const double far = axis == 0 ? 2.0 * input.cutoff : 0.0;
                        vectors[first_vector + (3 * place + axis) * n_lanes_ + lane] =
                            static_cast<Real>(neighbor < 0 ? far : input.vectors[3 * neighbor + axis]);
                    }
                }
            }
        }
        Real* own_vectors = vectors_.reserve(std::max<std::size_t>(1, vectors.size()));
        std::copy(vectors.begin(), vectors.end(), own_vectors);
        for (std::size_t k = 0; k < plans.size(); ++k) {
            blocks_.push_back({plans[k].kind, ends_.data() + offsets[k][0], places_.data() + offsets[k][1],
                               own_vectors + offsets[k][2]});
        }
    }

    std::ptrdiff_t n_lanes_;
    std::vector<Real> radial_, pair_, triple_;
    std::vector<std::int32_t> ends_, places_;
    AlignedBuffer<Real> vectors_;
    std::vector<LocalBlock<Real>> blocks_;
    LocalProgram<Real> program_;
    LocalFunction<Real> function_;
};

}  // namespace mlff
