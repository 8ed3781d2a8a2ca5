// Functions of the local part on lanes: radial functions, real spherical harmonics and their derivatives; the
// definitions are in local_tables.py and reference/local_functions.py.
#pragma once

#include "lanes.hpp"

namespace mlff::MLFF_ISA {

template <typename Real>
MLFF_INLINE Lanes<Real> smaller(Lanes<Real> a, Lanes<Real> b) {
    return a < b ? a : b;
}

template <typename Real>
MLFF_INLINE Lanes<Real> larger(Lanes<Real> a, Lanes<Real> b) {
    return a > b ? a : b;
}

template <typename Real>
MLFF_INLINE Lanes<Real> square_root(Lanes<Real> a) {
    Lanes<Real> root;
    for (int lane = 0; lane < kLanes<Real>; ++lane) {
        if constexpr (sizeof(Real) == 8) {
            root[lane] = __builtin_sqrt(a[lane]);
        } else {
            root[lane] = __builtin_sqrtf(a[lane]);
        }
    }
    return root;
}

template <typename Real>
MLFF_INLINE Lanes<Real> dot(const Vector3<Real>& a, const Vector3<Real>& b) {
    return a.x * b.x + a.y * b.y + a.z * b.z;
}

// Radial functions that are summed together in registers, two accumulators each.
constexpr int kRadialTile = MLFF_BYTES == 64 ? 8 : 5;

// A recursive struct keeps every accumulator in a register of its own; an array would go to memory.
template <typename Real, int N>
struct RadialSums {
    Lanes<Real> value, slope;
    RadialSums<Real, N - 1> rest;

    MLFF_INLINE_MEMBER void start(const Real* coefficients) {
        value = broadcast(coefficients[0]);
        slope = broadcast(coefficients[1]);
        rest.start(coefficients + 2);
    }
    MLFF_INLINE_MEMBER void add(const Real* coefficients, Lanes<Real> polynomial) {
        value += broadcast(coefficients[0]) * polynomial;
        slope += broadcast(coefficients[1]) * polynomial;
        rest.add(coefficients + 2, polynomial);
    }
    MLFF_INLINE_MEMBER void finish(Lanes<Real> fall, Lanes<Real> slope_of_fall, Lanes<Real>* values,
                                   Lanes<Real>* slopes) const {
        *values = value * fall;
        *slopes = slope * fall + value * slope_of_fall;
        rest.finish(fall, slope_of_fall, values + 1, slopes + 1);
    }
};

template <typename Real>
struct RadialSums<Real, 0> {
    MLFF_INLINE_MEMBER void start(const Real*) {}
    MLFF_INLINE_MEMBER void add(const Real*, Lanes<Real>) {}
    MLFF_INLINE_MEMBER void finish(Lanes<Real>, Lanes<Real>, Lanes<Real>*, Lanes<Real>*) const {}
};

template <typename Real, int N>
MLFF_INLINE void radial_tile(const RadialTable<Real>& table, std::ptrdiff_t first, Lanes<Real> r, Lanes<Real>* values,
                             Lanes<Real>* slopes) {
    const Real inverse = Real(1) / table.cutoff;
    const Lanes<Real> ratio = r * inverse, one = broadcast(Real(1));
    const Lanes<Real> x = smaller<Real>(ratio + ratio - one, one);
    const Real* coefficients = table.coefficients + 2 * first;
    RadialSums<Real, N> sums;
    sums.start(coefficients);
    // Each polynomial is started before the one before it is used, so that nothing waits for it.
    Lanes<Real> before = one, polynomial = x;
    for (std::ptrdiff_t k = 1; k < table.n_polynomials; ++k) {
        coefficients += 2 * table.n_radial;
        const Lanes<Real> next = (x + x) * polynomial - before;
        sums.add(coefficients, polynomial);
        before = polynomial;
        polynomial = next;
    }
    const Lanes<Real> inside = larger<Real>(one - ratio * ratio, Lanes<Real>{});
    const Lanes<Real> square = inside * inside;
    sums.finish(square * inside, square * ratio * (Real(-6) * inverse), values, slopes);
}

// Values and slopes of all radial functions; zero, without a branch, from the cutoff on.
template <typename Real>
MLFF_INLINE void radial_functions(const RadialTable<Real>& table, Lanes<Real> r, Lanes<Real>* values,
                                  Lanes<Real>* slopes) {
    std::ptrdiff_t first = 0;
    for (; table.n_radial - first > kRadialTile; first += kRadialTile) {
        radial_tile<Real, kRadialTile>(table, first, r, values + first, slopes + first);
    }
    values += first;
    slopes += first;
    switch (table.n_radial - first) {
        case 1: return radial_tile<Real, 1>(table, first, r, values, slopes);
        case 2: return radial_tile<Real, 2>(table, first, r, values, slopes);
        case 3: return radial_tile<Real, 3>(table, first, r, values, slopes);
        case 4: return radial_tile<Real, 4>(table, first, r, values, slopes);
        case 5: return radial_tile<Real, 5>(table, first, r, values, slopes);
    }
    if constexpr (kRadialTile > 5) {
        switch (table.n_radial - first) {
            case 6: return radial_tile<Real, 6>(table, first, r, values, slopes);
            case 7: return radial_tile<Real, 7>(table, first, r, values, slopes);
            case 8: return radial_tile<Real, 8>(table, first, r, values, slopes);
        }
    }
}

constexpr double constant_root(double square) {
    double root = square > 1.0 ? square : 1.0;
    for (int step = 0; step < 60; ++step) root = 0.5 * (root + square / root);
    return root;
}

// Square of the norm of Q_lm: 2 (l - m)! / (l + m)!, or 1 for m = 0.
constexpr double norm_square(int l, int m) {
    double square = m == 0 ? 1.0 : 2.0;
    for (int k = l - m + 1; k <= l + m; ++k) square /= k;
    return square;
}

constexpr int n_harmonics(int l_max) { return (l_max + 1) * (l_max + 1); }

// What harmonics up to l_max consist of, with N_lm Q_lm at place l (l + 1) / 2 + m, and powers of x + iy.
template <typename Real, int LMax>
struct HarmonicParts {
    Lanes<Real> legendre[(LMax + 1) * (LMax + 2) / 2], real[LMax + 1], imaginary[LMax + 1];

    template <int L = 0, int M = 0>
    MLFF_INLINE_MEMBER void form(const Vector3<Real>& d) {
        if constexpr (L <= LMax) {
            Lanes<Real>& value = legendre[L * (L + 1) / 2 + M];
            if constexpr (L == M) {
                double product = 1.0;
                for (int k = 1; k < L; ++k) product *= 2 * k + 1;
                value = broadcast(static_cast<Real>(product * constant_root(norm_square(L, M))));
                power<M>(d);
                form<L + 1, 0>(d);
            } else {
                constexpr double ratio = constant_root(norm_square(L, M) / norm_square(L - 1, M));
                constexpr Real up = static_cast<Real>((2 * L - 1) * ratio / (L - M));
                value = up * d.z * legendre[(L - 1) * L / 2 + M];
                if constexpr (L - 2 >= M) {
                    constexpr double far_ratio = constant_root(norm_square(L, M) / norm_square(L - 2, M));
                    constexpr Real down = static_cast<Real>((L + M - 1) * far_ratio / (L - M));
                    value -= down * legendre[(L - 2) * (L - 1) / 2 + M];
                }
                form<L, M + 1>(d);
            }
        }
    }

    template <int M>
    MLFF_INLINE_MEMBER void power(const Vector3<Real>& d) {
        if constexpr (M == 0) {
            real[0] = broadcast(Real(1));
            imaginary[0] = Lanes<Real>{};
        } else if constexpr (M == 1) {
            real[1] = d.x;
            imaginary[1] = d.y;
        } else {
            real[M] = real[M - 1] * d.x - imaginary[M - 1] * d.y;
            imaginary[M] = real[M - 1] * d.y + imaginary[M - 1] * d.x;
        }
    }

    // Derivative of N_lm Q_lm by z.
    template <int L, int M>
    MLFF_INLINE_MEMBER Lanes<Real> legendre_slope() const {
        if constexpr (M == L) {
            return Lanes<Real>{};
        } else {
            constexpr double ratio = constant_root(norm_square(L, M) / norm_square(L, M + 1));
            return static_cast<Real>(ratio) * legendre[L * (L + 1) / 2 + M + 1];
        }
    }

    template <int L = 0, int M = 0>
    MLFF_INLINE_MEMBER void values(Lanes<Real>* out) const {
        if constexpr (L <= LMax) {
            const Lanes<Real> q = legendre[L * (L + 1) / 2 + M];
            out[L * (L + 1) + M] = M == 0 ? q : q * real[M];
            if constexpr (M > 0) out[L * (L + 1) - M] = q * imaginary[M];
            values<M < L ? L : L + 1, M < L ? M + 1 : 0>(out);
        }
    }

    // Derivatives by x, y, z as if these were independent.
    template <int L = 0, int M = 0>
    MLFF_INLINE_MEMBER void free_gradients(Vector3<Real>* out) const {
        if constexpr (L <= LMax) {
            const Lanes<Real> slope = legendre_slope<L, M>();
            if constexpr (M == 0) {
                out[L * (L + 1)] = {Lanes<Real>{}, Lanes<Real>{}, slope};
            } else {
                const Lanes<Real> q = Real(M) * legendre[L * (L + 1) / 2 + M];
                const Lanes<Real> by_x = M == 1 ? q : q * real[M - 1];
                const Lanes<Real> by_y = M == 1 ? Lanes<Real>{} : q * imaginary[M - 1];
                out[L * (L + 1) + M] = {by_x, -by_y, slope * real[M]};
                out[L * (L + 1) - M] = {by_y, by_x, slope * imaginary[M]};
            }
            free_gradients<M < L ? L : L + 1, M < L ? M + 1 : 0>(out);
        }
    }

    // Sum over l and m of weights[lm] times the derivatives by x, y, z, as if these were independent.
    template <int M = 0>
    MLFF_INLINE_MEMBER void sum_slopes(const Lanes<Real>* weights, Vector3<Real>& slope) const {
        if constexpr (M <= LMax) {
            if constexpr (M > 0) {
                const Lanes<Real> plus = Real(M) * weighted<M, 1>(weights), minus = Real(M) * weighted<M, -1>(weights);
                if constexpr (M == 1) {
                    slope.x = plus;
                    slope.y = minus;
                } else {
                    slope.x += plus * real[M - 1] + minus * imaginary[M - 1];
                    slope.y += minus * real[M - 1] - plus * imaginary[M - 1];
                }
            }
            if constexpr (M < LMax) {
                const Lanes<Real> plus = weighted_slopes<M, 1>(weights);
                if constexpr (M == 0) {
                    slope.z = plus;
                } else {
                    slope.z += plus * real[M] + weighted_slopes<M, -1>(weights) * imaginary[M];
                }
            }
            sum_slopes<M + 1>(weights, slope);
        }
    }

private:
    template <int M, int Sign, int L = M>
    MLFF_INLINE_MEMBER Lanes<Real> weighted(const Lanes<Real>* weights) const {
        const Lanes<Real> own = weights[L * (L + 1) + Sign * M] * legendre[L * (L + 1) / 2 + M];
        if constexpr (L < LMax) {
            return own + weighted<M, Sign, L + 1>(weights);
        } else {
            return own;
        }
    }

    template <int M, int Sign, int L = M + 1>
    MLFF_INLINE_MEMBER Lanes<Real> weighted_slopes(const Lanes<Real>* weights) const {
        const Lanes<Real> own = weights[L * (L + 1) + Sign * M] * legendre_slope<L, M>();
        if constexpr (L < LMax) {
            return own + weighted_slopes<M, Sign, L + 1>(weights);
        } else {
            return own;
        }
    }
};

// Harmonics of unit vectors, at place l^2 + l + m.
template <typename Real, int LMax>
MLFF_INLINE void harmonics(const Vector3<Real>& direction, Lanes<Real>* values) {
    HarmonicParts<Real, LMax> parts;
    parts.form(direction);
    parts.values(values);
}

// Part of a vector across a direction.
template <typename Real>
MLFF_INLINE Vector3<Real> across(const Vector3<Real>& vector, const Vector3<Real>& direction) {
    const Lanes<Real> along = dot(vector, direction);
    return {vector.x - along * direction.x, vector.y - along * direction.y, vector.z - along * direction.z};
}

// Harmonics and their gradients across the direction.
template <typename Real, int LMax>
MLFF_INLINE void harmonics_and_gradients(const Vector3<Real>& direction, Lanes<Real>* values,
                                         Vector3<Real>* gradients) {
    HarmonicParts<Real, LMax> parts;
    parts.form(direction);
    parts.values(values);
    parts.free_gradients(gradients);
    for (int k = 0; k < n_harmonics(LMax); ++k) gradients[k] = across(gradients[k], direction);
}

// Sum of weights[lm] times the gradient of each harmonic across the direction.
template <typename Real, int LMax>
MLFF_INLINE Vector3<Real> harmonic_slope(const Vector3<Real>& direction, const Lanes<Real>* weights) {
    HarmonicParts<Real, LMax> parts;
    parts.form(direction);
    Vector3<Real> slope = {};
    parts.sum_slopes(weights, slope);
    return across(slope, direction);
}

}  // namespace mlff::MLFF_ISA
