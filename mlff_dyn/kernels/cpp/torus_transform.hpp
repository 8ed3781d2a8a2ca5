// Mixed-radix Fourier transform along the directions of a torus; the scheme is in transform_plan.py.
#pragma once

#include "harmonic_tables.hpp"
#include "lanes.hpp"

namespace mlff::MLFF_ISA {

template <typename Vector, typename Real>
MLFF_INLINE Vector load_numbers(const Real* from) {
    Vector vector;
    __builtin_memcpy(&vector, from, sizeof(Vector));
    return vector;
}

template <typename Vector, typename Real>
MLFF_INLINE void store_numbers(Real* to, Vector vector) {
    __builtin_memcpy(to, &vector, sizeof(Vector));
}

template <typename Vector>
struct Complex {
    Vector re, im;
};

// Real and imaginary parts in planes of their own.
template <typename Real>
struct Planes {
    Real* re;
    Real* im;
};

template <typename Vector, typename Real>
MLFF_INLINE Complex<Vector> turn(Complex<Vector> x, const Real* twiddle) {
    return {x.re * twiddle[0] - x.im * twiddle[1], x.re * twiddle[1] + x.im * twiddle[0]};
}

// x and y of radix numbers: y[k] = sum_j exp(-2 pi i j k / radix) x[j] for an odd radix. From pairs of opposite
// inputs, sums and differences, follow pairs of opposite outputs.
template <typename Vector, typename Real>
MLFF_INLINE void odd_butterfly(int radix, const Real* roots, Complex<Vector>* x, Complex<Vector>* y) {
    const int half = (radix - 1) / 2;
    y[0] = x[0];
    for (int j = 1; j <= half; ++j) {
        const Complex<Vector> a = x[j], b = x[radix - j];
        x[j] = {a.re + b.re, a.im + b.im};
        x[radix - j] = {a.re - b.re, a.im - b.im};
        y[0].re += x[j].re;
        y[0].im += x[j].im;
    }
    for (int k = 1; k <= half; ++k) {
        Complex<Vector> even = x[0], odd = {};
        for (int j = 1, turns = k; j <= half; ++j, turns = turns + k < radix ? turns + k : turns + k - radix) {
            const Real cosine = roots[2 * turns], sine = -roots[2 * turns + 1];
            even.re += cosine * x[j].re;
            even.im += cosine * x[j].im;
            odd.re += sine * x[radix - j].re;
            odd.im += sine * x[radix - j].im;
        }
        y[k] = {even.re + odd.im, even.im - odd.re};
        y[radix - k] = {even.re - odd.im, even.im + odd.re};
    }
}

template <typename Vector>
MLFF_INLINE void fourfold_butterfly(const Complex<Vector>* x, Complex<Vector>* y) {
    const Complex<Vector> a = {x[0].re + x[2].re, x[0].im + x[2].im}, b = {x[0].re - x[2].re, x[0].im - x[2].im};
    const Complex<Vector> c = {x[1].re + x[3].re, x[1].im + x[3].im}, d = {x[1].re - x[3].re, x[1].im - x[3].im};
    y[0] = {a.re + c.re, a.im + c.im};
    y[1] = {b.re + d.im, b.im - d.re};
    y[2] = {a.re - c.re, a.im - c.im};
    y[3] = {b.re - d.im, b.im + d.re};
}

// One butterfly on a vector of numbers. Radix is 0 where it is only known at run time.
template <int Radix, typename Vector, typename Real>
MLFF_INLINE void butterfly(int radix, std::ptrdiff_t stride, const Real* twiddles, const Real* roots, Planes<Real> in,
                           Planes<Real> out, std::ptrdiff_t n_inner, Complex<Vector>* x, Complex<Vector>* y) {
    for (int j = 0; j < radix; ++j) {
        x[j] = {load_numbers<Vector>(in.re + j * stride), load_numbers<Vector>(in.im + j * stride)};
    }
    if constexpr (Radix == 2) {
        y[0] = {x[0].re + x[1].re, x[0].im + x[1].im};
        y[1] = {x[0].re - x[1].re, x[0].im - x[1].im};
    } else if constexpr (Radix == 4) {
        fourfold_butterfly(x, y);
    } else {
        odd_butterfly(radix, roots, x, y);
    }
    for (int k = 0; k < radix; ++k) {
        const Complex<Vector> turned = k == 0 ? y[0] : turn(y[k], twiddles + 2 * k);
        store_numbers(out.re + k * n_inner, turned.re);
        store_numbers(out.im + k * n_inner, turned.im);
    }
}

template <int Radix, typename Real>
static void run_stage(const TransformStage& stage, const Real* twiddles, Planes<Real> in, Planes<Real> out,
                      Real* scratch) {
    using Wide = Lanes<Real>;
    using Narrow = Row<Real>;
    const int radix = Radix > 0 ? Radix : stage.radix;
    const std::ptrdiff_t n_inner = stage.n_inner, stride = n_inner * stage.n_groups;
    const Real* roots = twiddles + 2 * stage.first_root;
    constexpr int kLocal = Radix > 0 ? Radix : 1;
    Complex<Wide> wide[2 * kLocal];
    Complex<Narrow> narrow[2 * kLocal];
    Complex<Wide>* wide_x = Radix > 0 ? wide : reinterpret_cast<Complex<Wide>*>(scratch);
    Complex<Narrow>* narrow_x = Radix > 0 ? narrow : reinterpret_cast<Complex<Narrow>*>(scratch);
    for (std::ptrdiff_t outer = 0; outer < stage.n_outer; ++outer) {
        for (std::ptrdiff_t group = 0; group < stage.n_groups; ++group) {
            const std::ptrdiff_t from = outer * radix * stride + group * n_inner;
            const std::ptrdiff_t to = outer * radix * stride + group * radix * n_inner;
            const Real* own = twiddles + 2 * (stage.first_twiddle + group * radix);
            std::ptrdiff_t b = 0;
            for (; b + kLanes<Real> <= n_inner; b += kLanes<Real>) {
                butterfly<Radix, Wide>(radix, stride, own, roots, Planes<Real>{in.re + from + b, in.im + from + b},
                                       Planes<Real>{out.re + to + b, out.im + to + b}, n_inner, wide_x,
                                       wide_x + radix);
            }
            for (; b < n_inner; b += kStride) {
                butterfly<Radix, Narrow>(radix, stride, own, roots, Planes<Real>{in.re + from + b, in.im + from + b},
                                         Planes<Real>{out.re + to + b, out.im + to + b}, n_inner, narrow_x,
                                         narrow_x + radix);
            }
        }
    }
}

// Transforms in, with out as the other half of each step; returns where the result is. Exchanging real and
// imaginary parts gives the transform back, without its factor.
template <typename Real>
static Planes<Real> transform(const HarmonicTable<Real>& table, Planes<Real> in, Planes<Real> out, Real* scratch) {
    for (std::ptrdiff_t k = 0; k < table.n_stages; ++k) {
        const TransformStage& stage = table.stages[k];
        switch (stage.radix) {
            case 2: run_stage<2>(stage, table.twiddles, in, out, scratch); break;
            case 3: run_stage<3>(stage, table.twiddles, in, out, scratch); break;
            case 4: run_stage<4>(stage, table.twiddles, in, out, scratch); break;
            case 5: run_stage<5>(stage, table.twiddles, in, out, scratch); break;
            case 7: run_stage<7>(stage, table.twiddles, in, out, scratch); break;
            default: run_stage<0>(stage, table.twiddles, in, out, scratch);
        }
        const Planes<Real> swap = in;
        in = out;
        out = swap;
    }
    return in;
}

}  // namespace mlff::MLFF_ISA
