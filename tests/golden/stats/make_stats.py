#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the golden tables of tests/unit/math: special.csv, interval.csv, tests.csv.

Debian 12: python3-mpmath 1.2.1, python3-scipy 1.10.1. scipy's betainc (Cephes) is itself good to only about 1e-10
at large arguments, so the oracle is mpmath with 40 digits; every value is also compared with scipy where scipy has the
function, and the script fails if they differ by more than 1e-8. Run in this directory.
"""
import csv
import itertools
import random

import mpmath as mp
import numpy as np
from scipy import optimize, special, stats

mp.mp.dps = 40
rng = random.Random(20261124)


def close(a, b, tol=1e-8):
    a, b = float(a), float(b)
    assert a == b or abs(a - b) <= tol * max(abs(a), abs(b)) or max(abs(a), abs(b)) < 1e-290, (a, b)


def text(v):
    return repr(v) if isinstance(v, float) else mp.nstr(v, 20) if isinstance(v, mp.mpf) else str(v)


def write(name, header, rows):
    with open(name, "w", newline="") as f:
        w = csv.writer(f, lineterminator="\n")
        w.writerow(header)
        for r in rows:
            w.writerow([text(v) for v in r])


def log_uniform(lo, hi):
    return float(np.exp(rng.uniform(np.log(lo), np.log(hi))))


def betainc(a, b, x):
    """I_x(a, b) for the double x, and for 1 - I the complement is left to the caller."""
    a, b, x = mp.mpf(a), mp.mpf(b), mp.mpf(x)
    if x > a / (a + b):
        return 1 - betainc_lower(b, a, 1 - x)
    return betainc_lower(a, b, x)


def betainc_lower(a, b, x):
    """The continued fraction DLMF 8.17.22, evaluated backwards from a depth that suffices for 25 digits."""
    depth = int(60 + 12 * mp.sqrt(max(a, b)))
    f = mp.mpf(1)
    for m in range(depth, 0, -1):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        f = 1 + even / (1 + odd / f)
    f = 1 - (a + b) * x / ((a + 1) * f)
    log_front = a * mp.log(x) + b * mp.log(1 - x) - mp.log(a) - (mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b))
    return mp.exp(log_front) / f


def beta_rows():
    rows = []
    cases = []
    for _ in range(110):
        a, b = log_uniform(0.05, 3e4), log_uniform(0.05, 3e4)
        # around the mean, within some standard deviations, and anywhere
        mean, sd = a / (a + b), (a * b / ((a + b) ** 2 * (a + b + 1))) ** 0.5
        cases += [(a, b, min(max(mean + rng.gauss(0, 2) * sd, 1e-6), 1 - 1e-9)), (a, b, rng.uniform(0.001, 0.999))]
    cases += [(a, b, x) for a, b in itertools.product([0.5, 1.0, 2.0, 50.0, 1000.0], repeat=2) for x in (0.01, 0.5, 0.975)]
    cases += [(5000.0, 5001.0, 0.49), (9200.0, 801.0, 0.915), (1e5, 1e5, 0.501), (0.5, 1e5, 1e-9), (1e6, 10.0, 0.99999)]
    for a, b, x in cases:
        v = betainc(a, b, x)
        if not mp.mpf("1e-290") < v:
            continue
        close(v, special.betainc(a, b, x), 1e-7)
        rows.append(("beta_inc", a, b, x, v))
    return rows


def beta_inv(a, b, p):
    """Inverse by mpmath's secant around scipy's value, on the logit scale."""
    a, b, p = mp.mpf(a), mp.mpf(b), mp.mpf(p)
    start = special.betaincinv(float(a), float(b), float(p))
    if not 1e-280 < start < 1 - 1e-9:
        return None
    f = lambda u: mp.log(betainc(a, b, 1 / (1 + mp.exp(-u)))) - mp.log(p)
    u0 = mp.log(mp.mpf(start) / (1 - mp.mpf(start)))
    u = mp.findroot(f, (u0, u0 + mp.mpf("1e-6")), tol=mp.mpf(10) ** -50, maxsteps=60)
    return 1 / (1 + mp.exp(-u))


def beta_inv_rows():
    rows = []
    for _ in range(40):
        a, b, p = log_uniform(0.3, 1e4), log_uniform(0.3, 1e4), rng.choice([0.005, 0.025, 0.5, 0.975, rng.random(), 1e-8])
        x = beta_inv(a, b, p)
        if x is not None:
            close(x, special.betaincinv(a, b, p), 1e-7)
            rows.append(("beta_inc_inv", a, b, p, x))
    return rows


def t_quantile(p, df):
    lower = min(mp.mpf(p), 1 - mp.mpf(p))
    g = lambda t: mp.log(betainc(mp.mpf(df) / 2, mp.mpf(1) / 2, df / (df + t * t)) / 2) - mp.log(lower)
    t = mp.findroot(g, mp.mpf(float(stats.t.ppf(float(lower), df))))
    return t if p < 0.5 else -t


def special_rows():
    rows = beta_rows() + beta_inv_rows()
    for x in [1e-5, 0.1, 0.5, 1.5, 3.7, 10.0, 123.4, 1e4, 1e8, 1e15]:
        rows.append(("log_gamma", x, 0.0, 0.0, mp.loggamma(mp.mpf(x))))
    for a, b in [(0.1, 0.2), (1.0, 3.0), (0.5, 1000.0), (1e4, 2e4), (1e6, 1e-3), (14.0, 16.0), (1e9, 3.0), (1e5, 1e5)]:
        v = mp.loggamma(mp.mpf(a)) + mp.loggamma(mp.mpf(b)) - mp.loggamma(mp.mpf(a) + mp.mpf(b))
        close(v, special.betaln(a, b), 1e-6)
        rows.append(("log_beta", a, b, 0.0, v))
    for n, k in [(1, 0), (10, 3), (100, 50), (1000, 1), (1000, 29), (1000, 30), (1000, 500), (10**6, 1234), (10**9, 5), (10**9, 5 * 10**8)]:
        rows.append(("log_binomial", float(n), float(k), 0.0, mp.log(mp.binomial(n, k)) if k < 10**6 else
                     mp.loggamma(n + 1) - mp.loggamma(k + 1) - mp.loggamma(n - k + 1)))
    for z in [-38.0, -20.0, -8.5, -3.0, -1.959963984540054, -1.0, -1e-3, 0.0, 0.5, 1.0, 3.0, 8.0]:
        v = mp.ncdf(mp.mpf(z))
        close(v, stats.norm.cdf(z), 1e-10)
        rows.append(("normal_cdf", z, 0.0, 0.0, v))
    for p in [1e-300, 1e-100, 1e-20, 1e-10, 1e-5, 0.001, 0.005, 0.0249, 0.025, 0.07, 0.075, 0.1, 0.3, 0.49, 0.5000001, 0.7, 0.975, 0.999999]:
        v = mp.findroot(lambda z: mp.log(mp.erfc(-z / mp.sqrt(2)) / 2) - mp.log(mp.mpf(p)), mp.mpf(float(stats.norm.ppf(p))))
        close(v, stats.norm.ppf(p), 1e-9)
        rows.append(("normal_quantile", p, 0.0, 0.0, v))
    for n, p in [(20, 0.5), (1000, 0.013), (10000, 0.5), (50, 0.9)]:
        for k in sorted({0, 1, int(n * p) - 3, int(n * p), int(n * p) + 5, n - 1, n}):
            v = mp.binomial(n, k) * mp.mpf(p) ** k * (1 - mp.mpf(p)) ** (n - k)
            if v > mp.mpf("1e-290"):
                rows.append(("binomial_pmf", float(k), float(n), p, v))
    for n, p, k in [(20, 0.5, 5), (20, 0.5, 14), (300, 0.02, 3), (300, 0.02, 20), (2000, 0.5, 930), (2000, 0.5, 1003)]:
        terms = [mp.binomial(n, i) * mp.mpf(p) ** i * (1 - mp.mpf(p)) ** (n - i) for i in range(n + 1)]
        rows.append(("binomial_cdf", float(k), float(n), p, mp.fsum(terms[: k + 1])))
        rows.append(("binomial_sf", float(k), float(n), p, mp.fsum(terms[k + 1 :])))
    for df in [1.0, 2.0, 5.5, 30.0, 999.0, 1e5]:
        for t in [-40.0, -2.5, -0.1, 0.0, 1.3]:
            x = mp.mpf(df) / (mp.mpf(df) + mp.mpf(t) ** 2)
            tail = betainc(mp.mpf(df) / 2, mp.mpf(1) / 2, x) / 2 if t != 0 else mp.mpf(1) / 2
            v = tail if t < 0 else 1 - tail
            if v > mp.mpf("1e-290"):
                close(v, stats.t.cdf(t, df), 1e-7)
                rows.append(("t_cdf", t, df, 0.0, v))
        for p in [0.005, 0.025, 0.3, 0.9]:
            rows.append(("t_quantile", p, df, 0.0, t_quantile(p, df)))
    return rows


def tango_oracle(b, c, n, level):
    """Score interval by numerical maximum likelihood: nothing of the closed form is used."""
    z = -mp.sqrt(2) * mp.erfinv(2 * (mp.mpf(1) - mp.mpf(level)) / 2 - 1)

    def restricted_p21(delta):
        lo, hi = max(mp.mpf(0), -delta), (1 - delta) / 2
        over = lambda k, p: mp.mpf(0) if k == 0 else k / p if p > 0 else mp.inf
        score = lambda q: over(b, q + delta) + over(c, q) - over(2 * (n - b - c), 1 - 2 * q - delta)
        eps = (hi - lo) * mp.mpf(10) ** -35
        a, e = lo + eps, hi - eps
        if score(a) <= 0:
            return lo
        if score(e) >= 0:
            return hi
        for _ in range(110):
            m = (a + e) / 2
            a, e = (m, e) if score(m) > 0 else (a, m)
        return (a + e) / 2

    def stat(delta):
        q = restricted_p21(delta)
        var = n * (2 * q + delta * (1 - delta))
        return (b - c - n * delta) / mp.sqrt(var)

    def bound(sign):
        a, e = mp.mpf(b - c) / n, mp.mpf(sign)
        end = e * (1 - mp.mpf(10) ** -30)
        if sign * stat(end) > -z:
            return e
        e = end
        for _ in range(75):
            m = (a + e) / 2
            a, e = (m, e) if sign * stat(m) > -z else (a, m)
        return (a + e) / 2

    return bound(-1), bound(1)


def wilson(k, n, level):
    z = -mp.sqrt(2) * mp.erfinv(1 - mp.mpf(level) - 1)
    p = mp.mpf(k) / n
    c, h = (p + z * z / (2 * n)) / (1 + z * z / n), z / (1 + z * z / n) * mp.sqrt(p * (1 - p) / n + z * z / (4 * mp.mpf(n) ** 2))
    return c - h, c + h


def interval_rows():
    rows = []
    for k, n in [(8, 10), (0, 10), (10, 10), (1, 1), (1, 3), (915, 1000), (9152, 10000), (1, 10000), (9999, 10000), (123456, 250000)]:
        for level in (0.9, 0.95, 0.99):
            lo, hi = wilson(k, n, level)
            ref = stats.binomtest(k, n).proportion_ci(level, "wilson")
            close(lo if k else 0, ref.low if k else 0), close(hi, ref.high)
            rows.append(("wilson", float(k), float(n), 0.0, level, lo if k else mp.mpf(0), hi if k < n else mp.mpf(1)))
            al = (mp.mpf(1) - mp.mpf(level)) / 2
            lo = beta_inv(k, n - k + 1, al) if k else mp.mpf(0)
            hi = 1 - beta_inv(n - k, k + 1, al) if k < n else mp.mpf(1)
            ref = stats.binomtest(k, n).proportion_ci(level, "exact")
            close(lo, ref.low, 1e-6), close(hi, ref.high, 1e-6)  # scipy solves to an absolute tolerance
            rows.append(("clopper_pearson", float(k), float(n), 0.0, level, lo, hi))
            lo = beta_inv(k + 0.5, n - k + 0.5, al) if k else mp.mpf(0)
            hi = 1 - beta_inv(n - k + 0.5, k + 0.5, al) if k < n else mp.mpf(1)
            rows.append(("jeffreys", float(k), float(n), 0.0, level, lo, hi))
    for b, c, n in [(5, 15, 100), (15, 5, 100), (0, 0, 50), (0, 7, 30), (7, 0, 30), (1, 0, 1), (30, 0, 30), (43, 13, 400), (150, 210, 10000), (9, 9, 18)]:
        lo, hi = tango_oracle(b, c, n, 0.95)
        rows.append(("paired_difference", float(b), float(c), float(n), 0.95, lo, hi))
    for mean, var, n in [(0.25, 0.5, 10), (-3.0, 2.0, 2), (0.31, 1.7, 10000)]:
        lo, hi = stats.t.interval(0.95, n - 1, mean, (var / n) ** 0.5)
        half = -t_quantile((1 - mp.mpf(0.95)) / 2, n - 1) * mp.sqrt(mp.mpf(var) / n)
        close(mean - half, lo), close(mean + half, hi)
        rows.append(("mean_t", mean, var, float(n), 0.95, mean - half, mean + half))
    return rows


def mcnemar(b, c):
    n, k = b + c, min(b, c)
    total = sum(mp.binomial(n, i) for i in range(k + 1)) / mp.mpf(2) ** n
    exact = min(mp.mpf(1), 2 * total)
    mid = 2 * total - mp.binomial(n, k) / mp.mpf(2) ** n if b != c else mp.mpf(1)
    if n:
        close(exact, stats.binomtest(k, n, 0.5).pvalue)
    return exact, mid


def test_rows():
    rows = []
    for b, c in [(5, 15), (0, 0), (1, 0), (0, 5), (7, 7), (100, 150), (1000, 1100), (3, 60), (600, 20)]:
        exact, mid = mcnemar(b, c)
        rows += [("mcnemar_exact", float(b), float(c), 0.0, exact), ("mcnemar_mid_p", float(b), float(c), 0.0, mid)]
    for k, n, p in [(3, 10, 0.5), (0, 10, 0.3), (10, 10, 0.3), (5, 10, 0.5), (4, 20, 0.37), (81, 100, 0.7), (950, 1000, 0.94), (0, 0, 0.5), (3, 9, 1 / 3)]:
        rows.append(("binomial", float(k), float(n), p, float(stats.binomtest(k, n, p).pvalue) if n else 1.0))
    za, zp = stats.norm.ppf(0.975), stats.norm.ppf(0.8)
    for psi, d in [(0.05, 0.01), (0.02, 0.01), (0.3, 0.05), (0.01, 0.01)]:
        rows.append(("pairs_needed", psi, d, 0.0, float((za * psi**0.5 + zp * (psi - d * d) ** 0.5) ** 2 / d**2)))
    for n, psi in [(3923, 0.05), (1568, 0.02), (10000, 0.03), (10000, 0.0005), (50, 0.0), (10000, 0.0), (20, 0.9)]:
        f = lambda d, q: (za * q**0.5 + zp * (q - d * d) ** 0.5) ** 2 - n * d * d
        d = None
        if psi > 0 and f(psi, psi) <= 0:
            d = optimize.brentq(lambda t: f(t, psi), 1e-9, psi, xtol=1e-15, rtol=1e-14)
        if d is None:
            d = optimize.brentq(lambda t: f(t, t), 1e-9, 1.0, xtol=1e-15, rtol=1e-14)
        rows.append(("paired_detectable", float(n), psi, 0.0, float(d)))
    return rows


write("special.csv", ["function", "a", "b", "x", "value"], special_rows())
write("interval.csv", ["function", "a", "b", "c", "level", "lo", "hi"], interval_rows())
write("tests.csv", ["function", "a", "b", "c", "value"], test_rows())
