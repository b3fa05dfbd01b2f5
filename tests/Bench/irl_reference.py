#!/usr/bin/python3
"""The peer of `./bench audits`: the audit's fits in numpy and scipy, vectorised, on the bench's own file.

What the engine defines as a solution is solved by the better of two common ways (maximum a posteriori by L-BFGS and a Hessian; ridge by one eigendecomposition for all penalties). What it defines as
training (epochs of AdamW on batches of 64, stopped by the hold-out) is trained the same way: the same start, the same order of pairs (from the file, so that nothing is spent on shuffling here), the
same rule. A fit runs on one thread, as in the engine; the audit's fits are spread over K processes, as the engine spreads them over K cores.

Talks as torch_reference.py does: a line of JSON when ready, then so many repetitions a line.

usage: irl_reference.py CASE --data FILE.safetensors --threads K [--hidden H]
CASE is max-entropy, max-margin, bayesian-laplace, log-ratio-ridge, failure-aware-reweight, fits (all of an audit) or starc (bootstrap of d_STARC).
"""
import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when numpy is loaded; for matrices of this size more threads are slower

import argparse, math
from concurrent.futures import ProcessPoolExecutor
import multiprocessing
import numpy as np, scipy
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.special import expit
from turns import read_safetensors, take_turns

BATCH, RATE, DECAY, BETA1, BETA2, EPSILON = 64, 5e-3, 0.01, 0.9, 0.999, 1e-8
FALL_MIN, PATIENCE, EPOCHS_MAX = 1e-4, 5, 100
TAU, WEIGHT, ROUNDS, EPOCHS_A_ROUND, MU = 0.25, 1.5, 6, 5, 0.1


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def entropy_slope(m):
    return -expit(-m)


def hinge_slope(m):
    return -(m < 1).astype(float)


ENTROPY = (lambda m: softplus(-m), entropy_slope)
HINGE = (lambda m: np.maximum(0, 1 - m), hinge_slope)


def calibrated(margins):
    """Mean softplus of margins at their best scale a >= 0: Newton in one number, kept inside a bracket."""
    if margins.sum() <= 0:
        return math.log(2)
    m = margins / math.sqrt(margins @ margins / len(margins))
    square = m * m
    low, high, a = 0.0, 1e4, 1.0
    for _ in range(100):
        p = expit(-a * m)
        slope, curvature = -(m @ p), square @ (p * (1 - p))
        low, high = (a, high) if slope < 0 else (low, a)
        after = a - slope / curvature
        if not low < after < high:
            after = min(1e4, 4 * a) if high == 1e4 else (low + high) / 2
        moved, a = abs(after - a), after
        if moved <= 1e-12 * a or a >= 1e4:
            break
    return softplus(-a * m).mean()


class Pairs:
    """Standardised pairs: both sides and their difference."""

    def __init__(self, audited, base):
        self.audited, self.base, self.difference = audited, base, audited - base

    def swapped(self, flags):
        flags = flags.astype(bool)[:, None]
        return Pairs(np.where(flags, self.base, self.audited), np.where(flags, self.audited, self.base))


class Audit:
    """What all fits read."""

    def __init__(self, path, hidden):
        file = read_safetensors(path)
        audited, base = file["audited"].astype(float), file["base"].astype(float)
        n, m = file["rows"].shape[1], file["swap_holdout"].shape[1]
        pool = np.concatenate([audited[:n], base[:n]])
        mean, deviation = pool.mean(0), pool.std(0)
        constant = deviation < 1e-6
        scale = lambda x: np.where(constant, 0, (x - mean) / np.where(constant, 1, deviation))
        audited, base, self.candidates = scale(audited), scale(base), scale(file["candidates"].astype(float))
        self.train, self.holdout, self.test = (Pairs(audited[part], base[part]) for part in (slice(0, n), slice(n, n + m), slice(n + m, None)))
        ratios = file["log_ratios"].astype(float)
        self.ratios, self.holdout_ratios = ratios[:n], ratios[n:n + m]
        self.noise, self.hidden = float(file["noise"][0]), hidden
        self.truth = file["truth"].astype(float)
        for name in ("start", "correction", "head"):
            file[name] = file[name].view(float)  # doubles, bit by bit
        self.runs = [{name: file[name][run] for name in ("rows", "order", "rounds", "start", "correction", "head", "swap_train", "swap_holdout")} for run in range(len(file["rows"]))]
        self.draws, self.k = file["draws"], len(self.candidates) // len(file["draws"][0])


class Linear:
    """theta . z, trained on the differences."""

    def __init__(self, pairs, theta):
        self.pairs, self.weights = pairs, theta.copy()

    def gather(self, order):
        return self.pairs.difference[order]

    def losses(self, batch, objective, factors, gradient):
        margins = batch @ self.weights
        slope = objective[1](margins) * (1 / len(margins))
        if factors is not None:
            slope *= factors
        np.dot(slope, batch, out=gradient)
        return margins

    def margins(self, pairs):
        return pairs.difference @ self.weights

    def scores(self, z):
        return z @ self.weights


class DualPath:
    """theta . z + v . tanh(W z + b); routed: the correction learns from failures only and is kept silent elsewhere."""

    def __init__(self, pairs, theta, correction, hidden, routed):
        d = len(theta)
        self.pairs, self.d, self.h, self.routed = pairs, d, hidden, routed
        self.weights = np.concatenate([theta, correction, np.zeros(2 * hidden)])

    def views(self, flat):
        d, h = self.d, self.h
        return flat[:d], flat[d:d + h * d].reshape(h, d), flat[d + h * d:d + h * d + h], flat[-h:]

    def gather(self, order):
        return np.stack([self.pairs.audited[order], self.pairs.base[order]], 1)

    def losses(self, batch, objective, factors, gradient):
        n = len(batch)
        theta, inner, offset, outer = self.views(self.weights)
        difference, z = batch[:, 0] - batch[:, 1], batch.reshape(2 * n, self.d)
        state = np.tanh(z @ inner.T + offset)
        out = (state @ outer).reshape(n, 2)
        margins = difference @ theta + out[:, 0] - out[:, 1]
        slope = objective[1](margins) / n
        pull = np.empty((n, 2))
        if self.routed:
            failing = factors != 1
            slope *= factors
            pull[:] = 2 * MU / max(1, n - failing.sum()) * out
            pull[failing, 0], pull[failing, 1] = slope[failing], -slope[failing]
        else:
            pull[:, 0], pull[:, 1] = slope, -slope
        pull = pull.reshape(2 * n)
        delta = pull[:, None] * outer * (1 - state * state)
        of_theta, of_inner, of_offset, of_outer = self.views(gradient)
        np.dot(slope, difference, out=of_theta)
        np.dot(delta.T, z, out=of_inner)
        delta.sum(0, out=of_offset)
        np.dot(pull, state, out=of_outer)
        return margins

    def margins(self, pairs):
        theta, inner, offset, outer = self.views(self.weights)
        return pairs.difference @ theta + (np.tanh(pairs.audited @ inner.T + offset) - np.tanh(pairs.base @ inner.T + offset)) @ outer

    def scores(self, z):
        theta, inner, offset, outer = self.views(self.weights)
        return z @ theta + np.tanh(z @ inner.T + offset) @ outer


class AdamW:
    """AdamW on batches of pairs in the given order."""

    def __init__(self, head):
        size = len(head.weights)
        self.head, self.steps = head, 0
        self.gradient, self.first, self.second, self.buffer, self.move = (np.zeros(size) for _ in range(5))

    def epoch(self, order, objective, factors=None):
        gathered, margins = self.head.gather(order), []
        factors = None if factors is None else factors[order]
        for at in range(0, len(order), BATCH):
            margins.append(self.head.losses(gathered[at:at + BATCH], objective, None if factors is None else factors[at:at + BATCH], self.gradient))
            self.step()
        losses = objective[0](np.concatenate(margins))
        loss = (losses if factors is None else losses * factors).mean()
        if not math.isfinite(loss):
            raise ValueError("the loss is no number")
        return loss

    def step(self):
        g, m, v, buffer, move, w = self.gradient, self.first, self.second, self.buffer, self.move, self.head.weights
        norm = math.sqrt(g @ g)
        if norm > 1:
            g *= 1 / (norm + 1e-6)
        self.steps += 1
        rate, root = RATE / (1 - BETA1 ** self.steps), math.sqrt(1 - BETA2 ** self.steps)
        m *= BETA1
        m += np.multiply(g, 1 - BETA1, out=buffer)
        v *= BETA2
        np.multiply(g, g, out=buffer)
        buffer *= 1 - BETA2
        v += buffer
        np.sqrt(v, out=buffer)
        buffer /= root
        buffer += EPSILON
        np.multiply(m, rate, out=move)
        move /= buffer
        w *= 1 - RATE * DECAY
        w -= move


def converge(head, objective, order, holdout):
    """Trains until the calibrated hold-out loss has not fallen by 1e-4 for five epochs; the best weights stand afterwards."""
    training, nll = AdamW(head), calibrated(head.margins(holdout))
    best, kept = nll, head.weights.copy()
    mark, since = nll, 0
    for epoch in range(EPOCHS_MAX):
        training.epoch(order[epoch], objective)
        nll = calibrated(head.margins(holdout))
        if nll < best:
            best, kept = nll, head.weights.copy()
        mark, since = (nll, 0) if nll < mark - FALL_MIN else (mark, since + 1)
        if since >= PATIENCE:
            break
    head.weights[:] = kept
    return best


def linear(audit, run, objective, train=None, holdout=None):
    head = Linear(train or audit.train, run["start"])
    return head, converge(head, objective, run["order"], holdout or audit.holdout)


def max_entropy(audit, run):
    return linear(audit, run, ENTROPY)


def max_margin(audit, run):
    return linear(audit, run, HINGE)


def shuffled(audit, run):
    return linear(audit, run, ENTROPY, audit.train.swapped(run["swap_train"]), audit.holdout.swapped(run["swap_holdout"]))


def capacity(audit, run):
    head = DualPath(audit.train, run["start"], run["correction"], audit.hidden, routed=False)
    return head, converge(head, ENTROPY, run["order"], audit.holdout)


def random_head(audit, run):
    head = Linear(audit.train, run["head"])
    return head, calibrated(head.margins(audit.holdout))


def failure_aware(audit, run, screened=False, dual=False):
    """After max-entropy has converged: rounds in which failures count more, clear errors first; the round with the least hold-out loss is kept."""
    head, nll = linear(audit, run, ENTROPY)
    if dual:
        head = DualPath(audit.train, head.weights, run["correction"], audit.hidden, routed=True)
    pairs = np.unique(run["rows"])
    allowed = audit.ratios > 2 * audit.noise if screened else np.ones(len(audit.ratios), bool)
    training, best, kept, losses = AdamW(head), nll, head.weights.copy(), [nll]
    before, admitted_before, risen, still = nll, 0, 0, 0
    for t in range(1, ROUNDS + 1):
        if risen >= 2 or still >= 2:
            break
        margins = head.margins(audit.train)[pairs]
        scaled = margins / (np.median(np.abs(margins)) + 1e-9)
        teach = np.flatnonzero((scaled < TAU) & allowed[pairs])
        if len(teach) == 0:
            break
        severity = -scaled[teach]
        admitted = teach[severity >= np.quantile(severity, 1 - min(1, t / 4))]
        factors = np.ones(len(audit.ratios))
        factors[pairs[admitted]] = WEIGHT
        for epoch in range(EPOCHS_A_ROUND):
            training.epoch(run["rounds"][(t - 1) * EPOCHS_A_ROUND + epoch], ENTROPY, factors)
        nll = calibrated(head.margins(audit.holdout))
        losses.append(nll)
        risen = risen + 1 if nll > before else 0
        still = still + 1 if t > 1 and abs(len(admitted) - admitted_before) < 0.01 * admitted_before else 0
        before, admitted_before = nll, len(admitted)
        if nll < best:
            best, kept = nll, head.weights.copy()
    head.weights[:] = kept
    head.rounds = losses
    return head, best


def bayesian(audit, run):
    """The most probable theta under N(0, I) by L-BFGS, and the Hessian's factor there."""
    rows, counts = np.unique(run["rows"], return_counts=True)
    x, counts = audit.train.difference[rows], counts.astype(float)

    def objective(theta):
        margins = x @ theta
        return counts @ softplus(-margins) + theta @ theta / 2, theta - (counts * expit(-margins)) @ x

    theta = minimize(objective, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 1000, "maxcor": 20, "ftol": 1e-14, "gtol": 1e-5}).x
    p = expit(x @ theta)
    root = np.sqrt(counts * p * (1 - p))[:, None] * x
    precision = root.T @ root  # numpy makes one half of it and copies
    precision[np.diag_indices_from(precision)] += 1
    head = Linear(audit.train, theta)
    head.precision = cho_factor(precision, lower=True, overwrite_a=True, check_finite=False)
    return head, calibrated(head.margins(audit.holdout))


def log_ratio_ridge(audit, run):
    """Ridge of log-ratios on differences for 17 penalties at once; the hold-out's log-ratios choose."""
    x, target = audit.train.difference[run["rows"]], audit.ratios[run["rows"]]
    gram = x.T @ x
    values, vectors = np.linalg.eigh(gram)
    penalties = 10 ** (np.arange(-12, 5) / 2) * np.trace(gram) / len(gram)
    thetas = vectors @ ((vectors.T @ (target @ x))[:, None] / (values[:, None] + penalties))
    errors = np.square(audit.holdout_ratios[:, None] - audit.holdout.difference @ thetas).mean(0)
    head = Linear(audit.train, thetas[:, errors.argmin()])
    return head, calibrated(head.margins(audit.holdout))


METHODS = {
    "failure-aware-reweight": failure_aware,
    "max-entropy": max_entropy,
    "max-margin": max_margin,
    "bayesian-laplace": bayesian,
    "log-ratio-ridge": log_ratio_ridge,
    "failure-aware-screened": lambda audit, run: failure_aware(audit, run, screened=True),
    "failure-aware-paper-reading": lambda audit, run: failure_aware(audit, run, dual=True),
    "capacity-control": capacity,
    "random-head": random_head,
    "shuffled-max-entropy": shuffled,
}


def fit_and_score(task):
    """A run of an audit: the fit, its loss on the hold-out with its labels as they are, scores of all candidates at a common scale, margins of the test pairs."""
    method, run = task
    head, _ = METHODS[method](AUDIT, AUDIT.runs[run])
    scores = head.scores(AUDIT.candidates)
    centred = scores.reshape(-1, AUDIT.k)
    centred = centred - centred.mean(1, keepdims=True)
    square = np.square(centred).mean()
    return calibrated(head.margins(AUDIT.holdout)), scores / math.sqrt(square) if square > 0 else scores, head.margins(AUDIT.test)


def bootstrap(first, second, k, draws):
    """d_STARC of two rewards on k candidates a prompt, with its 95 % percentile interval over resamples of prompts."""
    a, b = first.reshape(-1, k), second.reshape(-1, k)
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    sums = np.stack([(a * a).sum(1), (a * b).sum(1), (b * b).sum(1)], 1)
    distance = lambda s: np.sqrt((1 - np.clip(s[..., 1] / np.sqrt(s[..., 0] * s[..., 2]), -1, 1)) / 2)
    prompts, resamples = len(a), len(draws)
    counts = np.bincount((draws + prompts * np.arange(resamples)[:, None]).ravel(), minlength=resamples * prompts).reshape(resamples, prompts)
    return distance(sums.sum(0)), np.quantile(distance(counts @ sums), [0.025, 0.975])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("case", choices=[*METHODS, "fits", "starc"])
    parser.add_argument("--data", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--hidden", type=int, default=16)
    a = parser.parse_args()
    global AUDIT
    AUDIT = Audit(a.data, a.hidden)
    ready = {"greedy_ids": [], "library": f"numpy {np.__version__}, scipy {scipy.__version__}"}
    if a.case == "fits":
        tasks = [(method, run) for method in METHODS for run in range(len(AUDIT.runs))]
        with ProcessPoolExecutor(a.threads, multiprocessing.get_context("fork")) as pool:  # the workers have the data from their parent
            results = list(pool.map(fit_and_score, tasks))
            more = [nll for nll, _, _ in results] + [x for _, scores, margins in results for x in (scores[0], scores[-1], margins[0] / np.abs(margins).mean())]
            take_turns(lambda: list(pool.map(fit_and_score, tasks)), first_loss=results[0][0], more_losses=more, tokens=len(tasks), threads=a.threads, **ready)
    elif a.case == "starc":
        k, random = AUDIT.k, np.random.default_rng(1)
        recovered = AUDIT.candidates @ AUDIT.runs[0]["head"]
        estimate, ends = bootstrap(recovered, AUDIT.truth, k, AUDIT.draws)
        shape = AUDIT.draws.shape
        take_turns(lambda: bootstrap(recovered, AUDIT.truth, k, random.integers(shape[1], size=shape)), first_loss=estimate, more_losses=list(ends), tokens=shape[0], threads=1, **ready)
    else:
        method, done = METHODS[a.case], 0
        fits = [method(AUDIT, run) for run in AUDIT.runs]
        more = [value for head, _ in fits for value in head.weights]
        if a.case == "failure-aware-reweight":
            more += [loss for head, _ in fits for loss in head.rounds]
        if a.case == "bayesian-laplace":
            more += [value for head, _ in fits for value in np.sqrt(np.diag(cho_solve(head.precision, np.eye(len(head.weights)))))]

        def run():
            nonlocal done
            method(AUDIT, AUDIT.runs[done % len(AUDIT.runs)])
            done += 1

        take_turns(run, first_loss=float(np.mean([nll for _, nll in fits])), more_losses=more, tokens=1, threads=1, **ready)


main()
