// Which SIMD lane serves which cell when several replicas of a torus are evaluated together.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace mlff {

// Cells that fill whole vectors stay together, replica after replica. What is left over of the replicas shares
// vectors: n_lanes of them fill them exactly. Such a bundle of vectors scatters its forces slot by slot, so the forces
// on an atom are summed in the same order whatever other replicas there are.
struct LaneLayout {
    LaneLayout(std::ptrdiff_t n_cells, std::ptrdiff_t n_replicas, std::ptrdiff_t n_lanes)
        : n_lanes(n_lanes), lanes(static_cast<std::size_t>(n_cells * n_replicas)) {
        const std::ptrdiff_t n_whole = n_cells / n_lanes * n_lanes;
        std::ptrdiff_t lane = 0;
        for (std::ptrdiff_t replica = 0; replica < n_replicas; ++replica) {
            for (std::ptrdiff_t cell = 0; cell < n_whole; ++cell) {
                if (cell % n_lanes == 0) bundles.push_back(lane);
                lanes[replica * n_cells + cell] = lane++;
            }
        }
        for (std::ptrdiff_t first = 0; first < n_replicas && n_whole < n_cells; first += n_lanes) {
            bundles.push_back(lane);
            const std::ptrdiff_t last = std::min(first + n_lanes, n_replicas);
            for (std::ptrdiff_t replica = first; replica < last; ++replica) {
                for (std::ptrdiff_t cell = n_whole; cell < n_cells; ++cell) lanes[replica * n_cells + cell] = lane++;
            }
            lane = (lane + n_lanes - 1) / n_lanes * n_lanes;
        }
        bundles.push_back(lane);
    }

    std::ptrdiff_t n_bundles() const { return static_cast<std::ptrdiff_t>(bundles.size()) - 1; }
    std::ptrdiff_t size() const { return bundles.back(); }
    std::ptrdiff_t largest_bundle() const {
        std::ptrdiff_t largest = 0;
        for (std::ptrdiff_t k = 0; k < n_bundles(); ++k) largest = std::max(largest, bundles[k + 1] - bundles[k]);
        return largest;
    }

    std::ptrdiff_t n_lanes;               // of a block
    std::vector<std::ptrdiff_t> lanes;    // of cell replica * n_cells + cell
    std::vector<std::ptrdiff_t> bundles;  // first lane of each, and the end: multiples of n_lanes
};

}  // namespace mlff
