// Standard normal numbers, many at once; the twin and the description are in random_numbers.py.
#pragma once

#include "lanes.hpp"

namespace mlff::MLFF_ISA {

typedef std::uint64_t Words __attribute__((vector_size(MLFF_BYTES)));
using Doubles = Lanes<double>;

MLFF_INLINE Doubles as_doubles(Words words) { return reinterpret_cast<Doubles&>(words); }
MLFF_INLINE Words as_words(Doubles doubles) { return reinterpret_cast<Words&>(doubles); }
MLFF_INLINE Words all_words(std::uint64_t word) { return word - Words{}; }

MLFF_INLINE Words splitmix64(Words counter) {
    Words word = (counter ^ (counter >> 30)) * all_words(0xBF58476D1CE4E5B9);
    word = (word ^ (word >> 27)) * all_words(0x94D049BB133111EB);
    return word ^ (word >> 31);
}

// Number in [1, 2) with the highest 52 bits of a word.
MLFF_INLINE Doubles mantissa(Words words) { return as_doubles((words >> 12) | all_words(0x3FF0000000000000)); }

template <int N>
MLFF_INLINE Doubles polynomial(const double (&coefficients)[N], Doubles x) {
    Doubles value = broadcast(coefficients[N - 1]);
    for (int k = N - 2; k >= 0; --k) value = value * x + broadcast(coefficients[k]);
    return value;
}

// Natural logarithm of numbers in (0, 1]: the series of 2 artanh((m - 1) / (m + 1)) for a mantissa m near 1.
MLFF_INLINE Doubles logarithm(Doubles x) {
    static constexpr double series[] = {2.0,      2.0 / 3,  2.0 / 5,  2.0 / 7,  2.0 / 9, 2.0 / 11,
                                        2.0 / 13, 2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21};
    const Words bits = as_words(x);
    Doubles exponent = as_doubles((bits >> 52) | all_words(0x4330000000000000)) - broadcast(0x1p52 + 1023.0);
    Doubles m = as_doubles((bits & all_words(0x000FFFFFFFFFFFFF)) | all_words(0x3FF0000000000000));
    const auto is_large = m > broadcast(1.4142135623730951);
    exponent = is_large ? exponent + broadcast(1.0) : exponent;
    m = is_large ? m * broadcast(0.5) : m;
    const Doubles s = (m - broadcast(1.0)) / (m + broadcast(1.0));
    return exponent * broadcast(0.69314718055994531) + s * polynomial(series, s * s);
}

struct SineCosine {
    Doubles sine, cosine;
};

// Sine and cosine of 2 pi x for x in [0, 1): series within an eighth of a turn of a multiple of a quarter turn.
MLFF_INLINE SineCosine sine_cosine(Doubles x) {
    static constexpr double sine_series[] = {1.0,          -1.0 / 6,           1.0 / 120,           -1.0 / 5040,
                                             1.0 / 362880, -1.0 / 39916800.0, 1.0 / 6227020800.0, -1.0 / 1307674368000.0};
    static constexpr double cosine_series[] = {1.0,           -1.0 / 2,           1.0 / 24,
                                               -1.0 / 720,    1.0 / 40320,        -1.0 / 3628800.0,
                                               1.0 / 479001600.0, -1.0 / 87178291200.0, 1.0 / 20922789888000.0};
    const Doubles quarters = x * broadcast(4.0);
    const Doubles rounder = broadcast(0x1.8p52);
    const Doubles shifted = quarters + rounder;
    const Words quadrant = as_words(shifted);
    const Doubles angle = (quarters - (shifted - rounder)) * broadcast(1.5707963267948966);
    const Doubles square = angle * angle;
    const Doubles sine = angle * polynomial(sine_series, square), cosine = polynomial(cosine_series, square);
    const auto is_swapped = (quadrant & all_words(1)) != all_words(0);
    const Words sine_sign = (quadrant & all_words(2)) << 62;
    const Words cosine_sign = ((quadrant + all_words(1)) & all_words(2)) << 62;
    return {as_doubles(as_words(is_swapped ? cosine : sine) ^ sine_sign),
            as_doubles(as_words(is_swapped ? sine : cosine) ^ cosine_sign)};
}

MLFF_INLINE Doubles square_root(Doubles x) {
    for (int lane = 0; lane < kLanes<double>; ++lane) x[lane] = __builtin_sqrt(x[lane]);
    return x;
}

// Fills count numbers, half of them cosines, half of them sines; count is a multiple of twice the lanes.
static void fill_gaussians(std::uint64_t key, std::ptrdiff_t count, double* out) {
    constexpr std::uint64_t step = 0x9E3779B97F4A7C15;
    const std::ptrdiff_t half = count / 2;
    Words lane = {};
    for (int k = 0; k < kLanes<double>; ++k) lane[k] = static_cast<std::uint64_t>(k);
    for (std::ptrdiff_t k = 0; k < half; k += kLanes<double>) {
        const Words index = lane + all_words(static_cast<std::uint64_t>(k));
        const Words counter = all_words(key) + (index + index + all_words(1)) * all_words(step);
        const Doubles a = broadcast(2.0) - mantissa(splitmix64(counter));
        const Doubles b = mantissa(splitmix64(counter + all_words(step))) - broadcast(1.0);
        const Doubles radius = square_root(broadcast(-2.0) * logarithm(a));
        const SineCosine turn = sine_cosine(b);
        *reinterpret_cast<Doubles*>(out + k) = radius * turn.cosine;
        *reinterpret_cast<Doubles*>(out + half + k) = radius * turn.sine;
    }
}

}  // namespace mlff::MLFF_ISA
