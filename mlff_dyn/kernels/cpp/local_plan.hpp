// Which atoms share the lanes of a block of the local part.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

#include "slot_atoms.hpp"

namespace mlff {

// As it comes from Python; see LocalTables and LocalTerms in local_tables.py.
struct LocalInput {
    std::ptrdiff_t n_cells;
    SlotAtoms neighbor_atoms;
    std::vector<std::int32_t> kinds, starts, kinds_of_neighbors;
    std::vector<double> vectors;
    double cutoff;
    std::ptrdiff_t n_polynomials, l_max, n_kinds;
    std::vector<double> radial, pair, triple;
    // See CubicTable; places are channel * n_harmonics + lm.
    std::vector<std::int32_t> cubic_kinds, cubic_pairs, cubic_starts, cubic_thirds;
    std::vector<double> cubic;

    std::vector<std::vector<std::int32_t>> ends;  // of the neighbors of kinds below each one, by site

    void find_ends() {
        for (std::size_t site = 0; site < kinds.size(); ++site) {
            const auto first = kinds_of_neighbors.begin() + starts[site];
            const auto last = kinds_of_neighbors.begin() + starts[site + 1];
            std::vector<std::int32_t> own = {0};
            for (std::int32_t kind = 0; kind < n_kinds; ++kind) {
                own.push_back(static_cast<std::int32_t>(std::upper_bound(first, last, kind) - first));
            }
            ends.push_back(own);
        }
    }
};

struct LocalPlan {
    std::vector<std::int32_t> sites, cells;  // of each lane that is in use
    std::vector<std::int32_t> ends;          // of the neighbors of kinds below each one, of the lane with most

    std::ptrdiff_t size() const { return static_cast<std::ptrdiff_t>(sites.size()); }

    void add(const LocalInput& input, std::int32_t site, std::int32_t cell) {
        sites.push_back(site);
        cells.push_back(cell);
        const std::vector<std::int32_t>& own = input.ends[site];
        const std::vector<std::int32_t> before = ends.empty() ? own : ends;
        ends = {0};
        for (std::size_t k = 1; k < own.size(); ++k) {
            ends.push_back(ends.back() + std::max(own[k] - own[k - 1], before[k] - before[k - 1]));
        }
    }

    bool is_mixed(const LocalInput& input) const {
        return std::any_of(sites.begin(), sites.end(), [&](std::int32_t site) {
            return input.kinds[site] != input.kinds[sites.front()];
        });
    }

    // Number in the tables of the neighbor that a lane has at a place of the block, or -1.
    std::int32_t neighbor(const LocalInput& input, std::ptrdiff_t lane, std::int32_t place) const {
        if (lane >= size()) return -1;
        const std::vector<std::int32_t>& own = input.ends[sites[lane]];
        std::size_t kind = 0;
        while (place >= ends[kind + 1]) ++kind;
        const std::int32_t number = own[kind] + place - ends[kind];
        return number < own[kind + 1] ? input.starts[sites[lane]] + number : -1;
    }
};

// Atoms of one kind fill blocks, those with equally many neighbors side by side; what is left over of the kinds shares
// blocks where there is room.
inline std::vector<LocalPlan> plan_local_blocks(const LocalInput& input, std::ptrdiff_t n_lanes) {
    std::vector<std::int32_t> sites(input.kinds.size());
    std::iota(sites.begin(), sites.end(), 0);
    std::stable_sort(sites.begin(), sites.end(),
                     [&](std::int32_t a, std::int32_t b) { return input.ends[a] < input.ends[b]; });
    std::vector<LocalPlan> plans, rests;
    for (std::int32_t kind = 0; kind < input.n_kinds; ++kind) {
        LocalPlan plan;
        for (const std::int32_t site : sites) {
            for (std::int32_t cell = 0; input.kinds[site] == kind && cell < input.n_cells; ++cell) {
                plan.add(input, site, cell);
                if (plan.size() < n_lanes) continue;
                plans.push_back(plan);
                plan = {};
            }
        }
        if (plan.size() == 0) continue;
        const auto room = std::find_if(rests.begin(), rests.end(), [&](const LocalPlan& rest) {
            return rest.size() + plan.size() <= n_lanes;
        });
        if (room == rests.end()) {
            rests.push_back(plan);
        } else {
            for (std::ptrdiff_t lane = 0; lane < plan.size(); ++lane) {
                room->add(input, plan.sites[lane], plan.cells[lane]);
            }
        }
    }
    plans.insert(plans.end(), rests.begin(), rests.end());
    return plans;
}

}  // namespace mlff
