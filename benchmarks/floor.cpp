// The floor: the ensemble's training and evaluation written out by hand, module by module, for the vector units.
//
// A run's iteration stays in level-1 cache. Every loop over rows has a fixed length and is vectorized by the compiler,
// logarithms, exponentials and cosines through libmvec. For each run and iteration, with R rows and I inputs:
//
//            transcendental calls           float32 divisions   other float32 operations   buffers, bytes
//   RealNPU  R(I + 3): I log, exp, 2 cos    R I                 R(15 I + 7)                8 R I + 24 R
//   NRU      R(2 I): I log, I exp; I tanh   R I                 R(11 I + 3)                12 R I + 8 R
//   NMRU     2 R: 2 cos                     R 2 I               R(26 I + 9)                8 R I + 20 R
//
// (a multiply-add counts once; a division is an estimate and a Newton step), and for inputs and targets R(I + 2)
// multiply-adds and R divisions in float64. From further away come 8 R I bytes of draws, which the nine ranges of a
// seed share, 16 I + 24 bytes of placement, and 24 bytes of state, there and back, for each parameter.
//
// What bounds it: RealNPU and NRU libmvec's calls, two fifths to three fifths of the time; NMRU with 2 inputs two
// cosines, the float64 divisions and latencies, with 10 inputs the plain arithmetic. Polynomials inlined in the place
// of libmvec's calls, which empty all registers, save another 6% (NMRU, 10 inputs) to 31% (RealNPU, 2 inputs).

#include <math.h>

namespace {

constexpr int I = INPUTS;   // given on the command line, so that everything unrolls
constexpr int BATCH = ROWS; // rows of a training batch
constexpr int BLOCK = 80;   // rows of an evaluation that are computed at once; divides the held-out rows
constexpr float EPS = 0x1p-23f, PI = 3.14159265358979f, QUARTER_TURN = PI / 2;

constexpr int padded(int count) { return (count + 15) / 16 * 16; }
inline float sign(float x) { return float(x > 0) - float(x < 0); }
inline float clamp(float x, float low, float high) { return fminf(fmaxf(x, low), high); }

// Slope of min(|w|, |1 - w|): at the ends and half way, where torch's is 0 too, 0.
inline float binary_slope(float w) { return fabsf(w) < fabsf(1 - w) ? sign(w) : w == 0.5f ? 0 : -sign(1 - w); }

struct Scalars { float step_size, correction, clip_norm, l1, weight, gate; };

// For inputs inside rows: sums and products stay in registers.
#define UNROLLED _Pragma("GCC unroll 64")

// A module of one output: `forward` fills y, `backward` finds the gradients of the parameters from that of y, dy, which
// it may overwrite; `slope` is the regularizers' for parameter j. The sine is a cosine a quarter turn later: of one
// angle the compiler would make a single call of both, which is not vectorized.

template <int R, bool TRAINING> struct RealNPU {  // y = exp(sum w ln r) cos(sum w k), r = g (|x| + eps) + 1 - g
    static constexpr int PARAMETERS = 2 * I;
    static constexpr bool CLIPS_GRADIENT = false;
    static constexpr float low(int j) { return j < I ? -1 : 0; }
    alignas(64) float y[R], logarithm[I][R], power[R], angle[R], scale[R], slant[R];

    void forward(const float (*x)[R], const float *p) {
        float turn[I];
        for (int i = 0; i < I; i++) {
            const float g = clamp(p[I + i], 0, 1);
            turn[i] = p[i] * PI * g;
            for (int r = 0; r < R; r++) logarithm[i][r] = logf(g * (fabsf(x[i][r]) + EPS) + (1 - g));
        }
        for (int r = 0; r < R; r++) {
            float sum = 0, turns = 0;
            UNROLLED for (int i = 0; i < I; i++) {
                sum += p[i] * logarithm[i][r];
                turns += x[i][r] < 0 ? turn[i] : 0;
            }
            power[r] = sum, angle[r] = turns;
        }
        for (int r = 0; r < R; r++) scale[r] = expf(power[r]);
        for (int r = 0; r < R; r++) y[r] = scale[r] * cosf(angle[r]);
    }

    void backward(const float (*x)[R], const float *p, float *dy, float *gradient) {
        for (int r = 0; r < R; r++) {
            slant[r] = -dy[r] * scale[r] * cosf(angle[r] - QUARTER_TURN);
            power[r] = dy[r] * y[r];
        }
        for (int i = 0; i < I; i++) {
            const float g = p[I + i], clamped = clamp(g, 0, 1);
            float by_log = 0, by_turn = 0, by_gate = 0;
            for (int r = 0; r < R; r++) {
                const float magnitude = fabsf(x[i][r]) + EPS;
                by_log += power[r] * logarithm[i][r];
                by_gate += power[r] / (clamped * magnitude + (1 - clamped)) * (magnitude - 1);
                by_turn += x[i][r] < 0 ? slant[r] : 0;
            }
            gradient[i] = by_log + PI * clamped * by_turn;
            gradient[I + i] = g >= 0 && g <= 1 ? p[i] * (by_gate + PI * by_turn) : 0;
        }
    }

    static float slope(int j, float p, const Scalars &s) {
        const float weight = s.weight / I * -sign(1 - fabsf(p)) * sign(p), gate = s.gate / I * binary_slope(p);
        return s.l1 * sign(p) + (j < I ? weight : gate);
    }
};

template <int R, bool TRAINING> struct NRU {  // y = prod f, f = sgn(x) |x|^w T + 1 - T
    static constexpr int PARAMETERS = I, PADDED = padded(I);
    static constexpr bool CLIPS_GRADIENT = false;
    static constexpr float low(int) { return -1; }
    alignas(64) float y[R], logarithm[I][R], signed_power[I][R], selected[PADDED], selecting[PADDED];

    void forward(const float (*x)[R], const float *p) {
#pragma GCC unroll 1  // unrolled, it would not be vectorized
        for (int j = 0; j < PADDED; j++) {
            const float t = tanhf(1000 * p[j]);
            selected[j] = TRAINING ? t * t : fabsf(p[j]);
            selecting[j] = 2000 * t * (1 - t * t);
        }
        for (int i = 0; i < I; i++) {
            const float w = p[i];
            for (int r = 0; r < R; r++) logarithm[i][r] = logf(fabsf(x[i][r]));
            for (int r = 0; r < R; r++) signed_power[i][r] = copysignf(expf(w * logarithm[i][r]), x[i][r]);
        }
        for (int r = 0; r < R; r++) {
            float product = 1;
            UNROLLED for (int i = 0; i < I; i++) product *= signed_power[i][r] * selected[i] + (1 - selected[i]);
            y[r] = product;
        }
    }

    void backward(const float (*)[R], const float *, float *dy, float *gradient) {
        for (int r = 0; r < R; r++) dy[r] *= y[r];
        for (int i = 0; i < I; i++) {
            const float t = selected[i], dt = selecting[i];
            float sum = 0;
            for (int r = 0; r < R; r++) {
                const float power = signed_power[i][r];
                sum += dy[r] / (power * t + (1 - t)) * (power * (t * logarithm[i][r] + dt) - dt);
            }
            gradient[i] = sum;
        }
    }

    static float slope(int, float p, const Scalars &s) { return s.weight / I * sign(p) * binary_slope(fabsf(p)); }
};

template <int R, bool TRAINING> struct NMRU {  // y = prod f cos(pi sum w [z < 0]), f = w |z| + 1 - w, z = (x, 1 / x)
    static constexpr int PARAMETERS = 2 * I;
    static constexpr bool CLIPS_GRADIENT = true;
    static constexpr float low(int) { return 0; }
    alignas(64) float y[R], reciprocal[I][R], magnitude[R], angle[R], slant[R];

    void forward(const float (*x)[R], const float *p) {
        for (int r = 0; r < R; r++) {
            float product = 1, turns = 0;
            UNROLLED for (int i = 0; i < I; i++) {
                const float w = p[i], v = p[I + i], z = 1 / (TRAINING ? x[i][r] + EPS : x[i][r]);
                product *= (fabsf(x[i][r]) * w + (1 - w)) * (fabsf(z) * v + (1 - v));
                turns += (x[i][r] < 0 ? w : 0) + (z < 0 ? v : 0);
                reciprocal[i][r] = z;
            }
            magnitude[r] = product, angle[r] = PI * turns;
        }
        for (int r = 0; r < R; r++) y[r] = magnitude[r] * cosf(angle[r]);
    }

    void backward(const float (*x)[R], const float *p, float *dy, float *gradient) {
        for (int r = 0; r < R; r++) {
            slant[r] = -PI * dy[r] * magnitude[r] * cosf(angle[r] - QUARTER_TURN);
            dy[r] *= y[r];
        }
        for (int i = 0; i < I; i++) {
            const float w = p[i], v = p[I + i];
            float by_direct = 0, by_reciprocal = 0;
            for (int r = 0; r < R; r++) {
                const float z = reciprocal[i][r], a = fabsf(x[i][r]), b = fabsf(z);
                const float f = a * w + (1 - w), h = b * v + (1 - v), share = dy[r] / (f * h);
                by_direct += share * h * (a - 1) + (x[i][r] < 0 ? slant[r] : 0);
                by_reciprocal += share * f * (b - 1) + (z < 0 ? slant[r] : 0);
            }
            gradient[i] = by_direct, gradient[I + i] = by_reciprocal;
        }
    }

    static float slope(int, float p, const Scalars &s) { return s.weight / (2 * I) * binary_slope(p); }
};

template <class M>
void step(float *parameter, float *mean, float *square, const float *from_loss, const Scalars &s) {
    constexpr int N = padded(M::PARAMETERS);
    alignas(64) float gradient[N];
    for (int j = 0; j < N; j++) gradient[j] = from_loss[j] + M::slope(j, parameter[j], s);
    float share = 1;
    if (M::CLIPS_GRADIENT) {
        float squares = 0;
        for (int j = 0; j < N; j++) squares += gradient[j] * gradient[j];
        share = fminf(s.clip_norm / (sqrtf(squares) + 1e-6f), 1);
    }
    for (int j = 0; j < N; j++) {  // Adam, then the projection
        const float g = gradient[j] * share;
        mean[j] += 0.1f * (g - mean[j]);
        square[j] = square[j] * 0.999f + 0.001f * g * g;
        const float moved = parameter[j] - s.step_size * mean[j] / (sqrtf(square[j]) / s.correction + 1e-8f);
        parameter[j] = clamp(moved, M::low(j), 1);
    }
}

template <template <int, bool> class Module>
void train(int iterations, int runs, int streams, const double *draws, const long *stream_index, const double *low,
           const double *width, const long *operands, float *parameters, float *means, float *squares,
           const Scalars *scalars) {
    using M = Module<BATCH, true>;
    constexpr int P = padded(M::PARAMETERS);  // parameters and moments come with zeros up to here
    M module;
    alignas(64) float x[I][BATCH], dy[BATCH];
    alignas(64) float p[P], gradient[P] = {};
    for (int n = 0; n < iterations; n++)
        for (int run = 0; run < runs; run++) {
            const double *u = draws + (n * long(streams) + stream_index[run]) * I * BATCH;
            const double *from = low + run * I, *by = width + run * I;
            for (int i = 0; i < I; i++)
                for (int r = 0; r < BATCH; r++) x[i][r] = float(from[i] + by[i] * u[i * BATCH + r]);
            for (int j = 0; j < P; j++) p[j] = parameters[run * P + j];
            module.forward(x, p);
            const long a = operands[2 * run], b = operands[2 * run + 1];
            const double *above = u + a * BATCH, *below = u + b * BATCH;
            for (int r = 0; r < BATCH; r++) {
                const float target = float((from[a] + by[a] * above[r]) / (from[b] + by[b] * below[r]));
                dy[r] = 2.0f / BATCH * (module.y[r] - target);
            }
            module.backward(x, p, dy, gradient);
            step<M>(parameters + run * P, means + run * P, squares + run * P, gradient, scalars[n]);
        }
}

template <template <int, bool> class Module>
void errors(int runs, int rows, const float *inputs, const long *input_index, const float *targets,
            const float *parameters, float *result) {
    using M = Module<BLOCK, false>;
    constexpr int P = padded(M::PARAMETERS);  // parameters and moments come with zeros up to here
    M module;
    alignas(64) float x[I][BLOCK];
    alignas(64) float p[P];
    for (int run = 0; run < runs; run++) {
        for (int j = 0; j < P; j++) p[j] = parameters[run * P + j];
        double sum = 0;
        for (int start = 0; start < rows; start += BLOCK) {
            for (int i = 0; i < I; i++)
                for (int r = 0; r < BLOCK; r++) x[i][r] = inputs[(input_index[run] * I + i) * rows + start + r];
            module.forward(x, p);
            float squares = 0;
            for (int r = 0; r < BLOCK; r++) {
                const float error = module.y[r] - targets[long(run) * rows + start + r];
                squares += error * error;
            }
            sum += squares;
        }
        result[run] = float(sum / rows);
    }
}

}  // namespace

#define EXPORT(NAME)                                                                                                   \
    extern "C" void NAME##_train(int n, int runs, int streams, const double *draws, const long *index,                 \
                                 const double *low, const double *width, const long *operands, float *parameters,      \
                                 float *means, float *squares, const Scalars *scalars) {                               \
        train<NAME>(n, runs, streams, draws, index, low, width, operands, parameters, means, squares, scalars);        \
    }                                                                                                                  \
    extern "C" void NAME##_errors(int runs, int rows, const float *x, const long *index, const float *targets,         \
                                  const float *parameters, float *result) {                                            \
        errors<NAME>(runs, rows, x, index, targets, parameters, result);                                               \
    }
EXPORT(RealNPU)
EXPORT(NRU)
EXPORT(NMRU)
