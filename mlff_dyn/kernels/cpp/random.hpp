// The random stream of the thermostats; the twin and the description are in random_numbers.py.
#pragma once

#include <cstddef>
#include <cstdint>

#include "aligned.hpp"
#include "tables.hpp"

namespace mlff {

class RandomStream {
public:
    RandomStream(const std::uint64_t* state, GaussianFunction gaussians)
        : s_{state[0], state[1], state[2], state[3]}, gaussians_(gaussians) {}

    void save(std::uint64_t* state) const {
        for (int k = 0; k < 4; ++k) state[k] = s_[k];
    }

    // Standard normal numbers, at least count of them, valid until the next call.
    const double* draw_gaussians(std::ptrdiff_t count) {
        const std::ptrdiff_t rounded = (count + kGaussianBlock - 1) / kGaussianBlock * kGaussianBlock;
        double* values = values_.reserve(static_cast<std::size_t>(rounded));
        gaussians_(next(), rounded, values);
        return values;
    }

private:
    static std::uint64_t rotate(std::uint64_t word, int bits) { return (word << bits) | (word >> (64 - bits)); }

    std::uint64_t next() {
        const std::uint64_t result = rotate(s_[0] + s_[3], 23) + s_[0];
        const std::uint64_t shifted = s_[1] << 17;
        s_[2] ^= s_[0];
        s_[3] ^= s_[1];
        s_[1] ^= s_[2];
        s_[0] ^= s_[3];
        s_[2] ^= shifted;
        s_[3] = rotate(s_[3], 45);
        return result;
    }

    std::uint64_t s_[4];
    GaussianFunction gaussians_;
    AlignedBuffer<double> values_;
};

}  // namespace mlff
