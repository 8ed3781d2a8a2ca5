// The random stream of the thermostat; the twin and the description are in random_numbers.py.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

namespace mlff {

class RandomStream {
public:
    explicit RandomStream(const std::uint64_t* state) : s_{state[0], state[1], state[2], state[3]} {}

    void save(std::uint64_t* state) const {
        for (int k = 0; k < 4; ++k) state[k] = s_[k];
    }

    // Standard normal numbers; the second of the last pair is dropped when count is odd.
    void fill_gaussians(double* out, std::ptrdiff_t count) {
        for (std::ptrdiff_t k = 0; k < count; k += 2) {
            const double a = (static_cast<double>(next() >> 11) + 1.0) * 0x1p-53;
            const double b = static_cast<double>(next() >> 11) * 0x1p-53;
            const double radius = std::sqrt(-2.0 * std::log(a));
            const double angle = 6.283185307179586476925 * b;
            out[k] = radius * std::cos(angle);
            if (k + 1 < count) out[k + 1] = radius * std::sin(angle);
        }
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
};

}  // namespace mlff
