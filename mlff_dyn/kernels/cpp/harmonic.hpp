// Harmonic interactions of one torus; owns the tables and scratch memory.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "aligned.hpp"
#include "dispatch.hpp"

namespace mlff {

// The largest table, which evaluators share: it lives as long as one of its owners.
struct SharedProducts {
    const double* values;
    std::size_t size;
    std::shared_ptr<const void> owner;
};

template <typename Real>
class TorusHarmonic {
public:
    TorusHarmonic(std::ptrdiff_t n_sites, std::ptrdiff_t n_cells, const std::string& isa, std::ptrdiff_t n_packed,
                  std::vector<TransformStage> stages, const std::vector<double>& twiddles,
                  std::vector<std::int32_t> pairs, const SharedProducts& products)
        : stages_(std::move(stages)),
          pairs_(std::move(pairs)),
          twiddles_(twiddles.begin(), twiddles.end()) {
        const Real* own_products = nullptr;
        if constexpr (std::is_same_v<Real, double>) {
            shared_ = products;
            own_products = products.values;
        } else {
            converted_.assign(products.values, products.values + products.size);
            own_products = converted_.data();
        }
        std::ptrdiff_t largest_radix = 0;
        for (const TransformStage& stage : stages_) {
            largest_radix = std::max<std::ptrdiff_t>(largest_radix, stage.radix);
        }
        table_ = {n_sites,
                  n_cells,
                  n_packed,
                  static_cast<std::ptrdiff_t>(stages_.size()),
                  stages_.data(),
                  twiddles_.data(),
                  static_cast<std::ptrdiff_t>(pairs_.size() / 2),
                  pairs_.data(),
                  own_products,
                  largest_radix};
        if constexpr (std::is_same_v<Real, double>) {
            function_ = find_kernels(isa).harmonic64;
        } else {
            function_ = find_kernels(isa).harmonic32;
        }
    }

    TorusHarmonic(const TorusHarmonic&) = delete;
    TorusHarmonic& operator=(const TorusHarmonic&) = delete;

    // Adds to the padded forces; returns the energy.
    double add_forces(const double* u, double* forces) {
        Real* scratch = scratch_.reserve(static_cast<std::size_t>(table_.scratch_size()));
        return function_(table_, u, forces, scratch);
    }

private:
    std::vector<TransformStage> stages_;
    std::vector<std::int32_t> pairs_;
    std::vector<Real> twiddles_, converted_;
    SharedProducts shared_ = {};
    HarmonicTable<Real> table_;
    HarmonicFunction<Real> function_;
    AlignedBuffer<Real> scratch_;
};

}  // namespace mlff
