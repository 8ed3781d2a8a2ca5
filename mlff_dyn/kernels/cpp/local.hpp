// The local part of the energy of one torus; owns the tables.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <type_traits>
#include <vector>

#include "aligned.hpp"
#include "dispatch.hpp"
#include "local_plan.hpp"

namespace mlff {

template <typename Real>
class TorusLocal {
public:
    TorusLocal(const LocalInput& input, const std::string& isa)
        : n_lanes_(find_kernels(isa).vector_bytes / static_cast<std::ptrdiff_t>(sizeof(Real))),
          radial_(input.radial.begin(), input.radial.end()),
          pair_(input.pair.begin(), input.pair.end()),
          cubic_(input.cubic.begin(), input.cubic.end()) {
        for (const double value : input.triple) triple_.push_back(static_cast<Real>(2.0 * value));
        if constexpr (std::is_same_v<Real, double>) {
            function_ = find_kernels(isa).local64;
        } else {
            function_ = find_kernels(isa).local32;
        }
        find_cubic_places(input);
        std::ptrdiff_t max_neighbors = 0;
        for (const LocalPlan& plan : plan_local_blocks(input, n_lanes_)) {
            max_neighbors = std::max<std::ptrdiff_t>(max_neighbors, plan.ends.back());
            add_block(input, plan);
        }
        const std::ptrdiff_t n_radial = static_cast<std::ptrdiff_t>(radial_.size()) / (2 * input.n_polynomials);
        program_ = {{n_radial, input.n_polynomials, static_cast<Real>(input.cutoff), radial_.data()},
                    input.l_max,
                    input.n_kinds,
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
    using Sites = std::vector<std::int32_t>;
    using Place = typename CubicTable<Real>::Place;

    void add_block(const LocalInput& input, const LocalPlan& plan) {
        const std::ptrdiff_t per_kind[2] = {static_cast<std::ptrdiff_t>(pair_.size()) / input.n_kinds,
                                            static_cast<std::ptrdiff_t>(triple_.size()) / input.n_kinds};
        const bool is_mixed = plan.is_mixed(input);
        const std::ptrdiff_t kind = input.kinds[plan.sites.front()];
        ends_.push_back(plan.ends);
        places_.push_back(places_of(input, plan));
        cubic_tables_.push_back(cubic_of(input, plan));
        blocks_.push_back({is_mixed,
                           is_mixed ? by_lanes(input, plan, pair_, per_kind[0]) : pair_.data() + kind * per_kind[0],
                           is_mixed ? by_lanes(input, plan, triple_, per_kind[1]) : triple_.data() + kind * per_kind[1],
                           ends_.back().data(), places_.back().data(), vectors_of(input, plan),
                           static_cast<std::ptrdiff_t>(cubic_tables_.back().size()), cubic_tables_.back().data()});
    }

    // Where the kernel has the sums, [channel][lm], and the derivatives by them, [kind][lm][n].
    void find_cubic_places(const LocalInput& input) {
        const auto n_lm = static_cast<std::int32_t>((input.l_max + 1) * (input.l_max + 1));
        const auto n_radial = static_cast<std::int32_t>(radial_.size()) / static_cast<std::int32_t>(2 * input.n_polynomials);
        const auto place = [&](std::int32_t sum) -> Place {
            const std::int32_t channel = sum / n_lm, lm = sum % n_lm;
            return {sum, (channel / n_radial * n_lm + lm) * n_radial + channel % n_radial};
        };
        for (const std::int32_t sum : input.cubic_pairs) cubic_pairs_.push_back(place(sum));
        for (const std::int32_t sum : input.cubic_thirds) cubic_thirds_.push_back(place(sum));
        cubic_starts_ = input.cubic_starts;
    }

    std::vector<CubicTable<Real>> cubic_of(const LocalInput& input, const LocalPlan& plan) {
        std::vector<CubicTable<Real>> tables;
        for (std::int32_t kind = 0; kind < input.n_kinds; ++kind) {
            const std::ptrdiff_t first = input.cubic_kinds[kind], n_pairs = input.cubic_kinds[kind + 1] - first;
            std::vector<bool> is_mine;
            for (std::ptrdiff_t lane = 0; lane < n_lanes_; ++lane) {
                is_mine.push_back(input.kinds[plan.sites[lane < plan.size() ? lane : 0]] == kind);
            }
            if (n_pairs == 0 || std::find(is_mine.begin(), is_mine.end(), true) == is_mine.end()) continue;
            mixed_.emplace_back();
            Real* share = mixed_.back().reserve(static_cast<std::size_t>(n_lanes_));
            std::copy(is_mine.begin(), is_mine.end(), share);
            tables.push_back({n_pairs, cubic_pairs_.data() + 2 * first, cubic_starts_.data() + first,
                              cubic_thirds_.data(), cubic_.data(), share});
        }
        return tables;
    }

    std::vector<std::int32_t> places_of(const LocalInput& input, const LocalPlan& plan) const {
        std::vector<std::int32_t> places;
        places.reserve(static_cast<std::size_t>((plan.ends.back() + 1) * n_lanes_));
        for (std::int32_t place = -1; place < plan.ends.back(); ++place) {
            for (std::ptrdiff_t lane = 0; lane < n_lanes_; ++lane) {
                const std::ptrdiff_t own = lane < plan.size() ? lane : 0, cell = plan.cells[own];
                const std::int32_t neighbor = place < 0 ? -1 : plan.neighbor(input, lane, place);
                const std::ptrdiff_t atom = neighbor < 0 ? plan.sites[own] * input.n_cells + cell
                                                         : input.neighbor_atoms.atom(neighbor, cell);
                places.push_back(static_cast<std::int32_t>(kStride * atom));
            }
        }
        return places;
    }

    // Blocks of the same sites share their vectors.
    const Real* vectors_of(const LocalInput& input, const LocalPlan& plan) {
        const auto [found, is_new] = vectors_.try_emplace(plan.sites);
        Real* vectors = found->second.reserve(static_cast<std::size_t>(3 * n_lanes_ * (plan.ends.back() + 1)));
        for (std::int32_t place = 0; is_new && place < plan.ends.back(); ++place) {
            for (std::ptrdiff_t lane = 0; lane < n_lanes_; ++lane) {
                const std::int32_t neighbor = plan.neighbor(input, lane, place);
                for (std::ptrdiff_t axis = 0; axis < 3; ++axis) {
                    const double far = axis == 0 ? 2.0 * input.cutoff : 0.0;
                    vectors[(3 * place + axis) * n_lanes_ + lane] =
                        static_cast<Real>(neighbor < 0 ? far : input.vectors[3 * neighbor + axis]);
                }
            }
        }
        return vectors;
    }

    // The coefficients of the kind of each lane; those of one kind are so many.
    const Real* by_lanes(const LocalInput& input, const LocalPlan& plan, const std::vector<Real>& values,
                         std::ptrdiff_t per_kind) {
        mixed_.emplace_back();
        Real* mixed = mixed_.back().reserve(static_cast<std::size_t>(per_kind * n_lanes_));
        for (std::ptrdiff_t k = 0; k < per_kind; ++k) {
            for (std::ptrdiff_t lane = 0; lane < n_lanes_; ++lane) {
                const std::int32_t site = plan.sites[lane < plan.size() ? lane : 0];
                mixed[k * n_lanes_ + lane] = values[input.kinds[site] * per_kind + k];
            }
        }
        return mixed;
    }

    std::ptrdiff_t n_lanes_;
    std::vector<Real> radial_, pair_, triple_, cubic_;
    std::vector<Place> cubic_pairs_, cubic_thirds_;
    std::vector<std::int32_t> cubic_starts_;
    std::deque<std::vector<CubicTable<Real>>> cubic_tables_;
    std::deque<std::vector<std::int32_t>> ends_, places_;
    std::map<Sites, AlignedBuffer<Real>> vectors_;
    std::deque<AlignedBuffer<Real>> mixed_;
    std::vector<LocalBlock<Real>> blocks_;
    LocalProgram<Real> program_;
    LocalFunction<Real> function_;
};

}  // namespace mlff
