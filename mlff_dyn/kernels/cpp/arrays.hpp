// Arrays as they come from Python.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "tables.hpp"

namespace nb = nanobind;

namespace mlff {

template <typename Scalar, int Axes>
using Array = nb::ndarray<Scalar, nb::ndim<Axes>, nb::c_contig, nb::device::cpu>;
template <int Axes>
using Ints = Array<const std::int32_t, Axes>;
template <int Axes>
using Doubles = Array<const double, Axes>;

template <typename Scalar, typename... Layout>
std::vector<std::remove_const_t<Scalar>> copy(const nb::ndarray<Scalar, Layout...>& array) {
    return {array.data(), array.data() + array.size()};
}

inline void pad_atoms(const double* rows, std::ptrdiff_t n_atoms, double* padded) {
    for (std::ptrdiff_t atom = 0; atom < n_atoms; ++atom) {
        std::copy_n(rows + 3 * atom, 3, padded + kStride * atom);
        padded[kStride * atom + 3] = 0.0;
    }
    std::fill_n(padded + kStride * n_atoms, kStride, 0.0);
}

// Adds the class DesignPlan to the module.
void bind_design(nb::module_& module);

// Adds the class LocalPlan to the module.
void bind_local(nb::module_& module);

}  // namespace mlff
