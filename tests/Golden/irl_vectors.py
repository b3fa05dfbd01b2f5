#!/usr/bin/env python3
"""Golden vectors of the IRL core: numpy 1.24, PyTorch 1.13's autograd and torch.optim.AdamW, mpmath quadrature; float64, one thread.

Writes irl_vectors.json beside itself: /usr/bin/python3 tests/Golden/irl_vectors.py
Nothing here shares code with engine/Irl or engine/Statistics: inverses are numpy's, gradients autograd's (with detach where the
specification routes them), integrals mpmath's, quantile bins numpy.digitize's.
"""
import json
import math
import os

import mpmath
import numpy as np
import torch

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
rng = np.random.default_rng(2510_06092)


def flat(a):
    return [float(x) for x in np.asarray(a).reshape(-1)]


def single(a):
    """Numbers that a float32 holds exactly: the engine's features are float32."""
    return np.asarray(a).astype(np.float32).astype(np.float64)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def newton(x, precision, counts, signs, temperature):
    """Logistic MAP with a diagonal prior; plain Newton to machine precision."""
    w = np.zeros(x.shape[1])
    y = x * signs[:, None] / temperature
    for _ in range(60):
        p = sigmoid(y @ w)
        g = -(counts * (1 - p)) @ y + precision * w
        h = (y * (counts * p * (1 - p))[:, None]).T @ y + np.diag(precision)
        w = w - np.linalg.solve(h, g)
    p = sigmoid(y @ w)
    h = (y * (counts * p * (1 - p))[:, None]).T @ y + np.diag(precision)
    objective = float(np.sum(counts * np.logaddexp(0, -(y @ w))) + 0.5 * np.sum(precision * w * w))
    return w, h, objective


def logistic():
    cases = []
    for n, d, temperature, plain in [(40, 3, 1.0, True), (60, 7, 1.0, False), (25, 12, 0.5, False), (30, 1, 2.0, True)]:
        x = rng.normal(size=(n, d))
        counts = np.ones(n) if plain else rng.integers(0, 4, n).astype(float)
        signs = np.ones(n) if plain else rng.choice([-1.0, 1.0], n)
        precision = np.ones(d) if plain else rng.uniform(0.2, 3, d)
        w, h, objective = newton(x + 0.2 * np.arange(d) / d, precision, counts, signs, temperature)
        x = x + 0.2 * np.arange(d) / d
        covariance = np.linalg.inv(h)
        probe = rng.normal(size=d)
        cases.append(dict(rows=n, columns=d, temperature=temperature, x=flat(x), counts=flat(counts), signs=flat(signs), precision=flat(precision),
                          weights=flat(w), errors=flat(np.sqrt(np.diag(covariance))), log_determinant=float(np.linalg.slogdet(h)[1]), objective=objective,
                          probe=flat(probe), variance=float(probe @ covariance @ probe)))
    return cases


def ridge():
    cases = []
    for n, m, d in [(30, 12, 4), (20, 15, 9)]:
        truth = rng.normal(size=d)
        x, xh = single(rng.normal(size=(n, d))), single(rng.normal(size=(m, d)))
        y, yh = x @ truth + rng.normal(size=n), xh @ truth + rng.normal(size=m)
        deviation = np.vstack([x, 0 * x]).std(0)  # the pool of a pair whose base completion has features 0
        z, zh = x / deviation, xh / deviation
        scale = float(np.mean(np.diag(z.T @ z)))
        best = None
        for power in range(-12, 5):
            penalty = 10 ** (power / 2) * scale
            # least squares on the system with sqrt(penalty) rows below: not the normal equations
            theta = np.linalg.lstsq(np.vstack([z, math.sqrt(penalty) * np.eye(d)]), np.concatenate([y, np.zeros(d)]), rcond=None)[0]
            error = float(np.mean((yh - zh @ theta) ** 2))
            if best is None or error < best[0]:
                best = (error, penalty, theta)
        cases.append(dict(rows=n, holdout_rows=m, columns=d, x=flat(x), y=flat(y), holdout_x=flat(xh), holdout_y=flat(yh), ridge=best[1], theta=flat(best[2])))
    return cases


def losses():
    """Losses and gradients of a batch, linear and with two paths, with the specification's routing."""
    cases = []
    for objective, hidden, routed, n, d in [("entropy", 0, False, 9, 4), ("hinge", 0, False, 8, 3), ("entropy", 5, True, 9, 4), ("hinge", 4, True, 7, 6), ("entropy", 3, False, 6, 5)]:
        plus, minus = single(rng.normal(size=(n, d))), single(rng.normal(size=(n, d)))
        failing = rng.random(n) < 0.4
        failing[0], failing[1] = True, False
        temperature, failure_temperature, margin, extra, weight, mu = 0.8, 0.5, 1.0, 0.7, 1.5, 0.1
        theta = torch.tensor(rng.normal(size=d), requires_grad=True)
        w = torch.tensor(rng.normal(size=(max(1, hidden), d)) * 0.5, requires_grad=True)
        b = torch.tensor(rng.normal(size=max(1, hidden)) * 0.3, requires_grad=True)
        v = torch.tensor(rng.normal(size=max(1, hidden)), requires_grad=True)
        zp, zm, f = torch.tensor(plus), torch.tensor(minus), torch.tensor(failing)

        def cost(m, fails):
            if objective == "entropy":
                return torch.where(fails, weight * torch.nn.functional.softplus(-m / failure_temperature), torch.nn.functional.softplus(-m / temperature))
            return torch.where(fails, weight * torch.clamp(margin + extra - m, min=0), torch.clamp(margin - m, min=0))

        base = zp @ theta - zm @ theta
        if hidden:
            cp, cm = torch.tanh(zp @ w.T + b) @ v, torch.tanh(zm @ w.T + b) @ v
        else:
            cp = cm = torch.zeros(n)
        total = cost(base + cp - cm, f).sum() / n
        if routed:
            # theta: all pairs, the correction a constant; W, b, v: failures with the base detached, plus the quiet term
            (g_theta,) = torch.autograd.grad(cost(base + (cp - cm).detach(), f).sum() / n, theta, retain_graph=True)
            quiet = mu * (cp[~f] ** 2 + cm[~f] ** 2).mean()
            routed_loss = (cost(base.detach() + cp - cm, f) * f).sum() / n + quiet
            g = torch.autograd.grad(routed_loss, [w, b, v])
        else:
            routed_loss = total
            g = torch.autograd.grad(total, [theta] + ([w, b, v] if hidden else []))
            g_theta, g = g[0], g[1:]
        gradient = np.concatenate([flat(g_theta)] + [flat(x.detach()) for x in g])
        weights = np.concatenate([flat(theta.detach())] + ([flat(x.detach()) for x in (w, b, v)] if hidden else []))
        cases.append(dict(objective=objective, hidden=hidden, routed=routed, rows=n, columns=d, plus=flat(plus), minus=flat(minus), failing=[bool(x) for x in failing],
                          temperature=temperature, failure_temperature=failure_temperature, margin=margin, extra_margin=extra, weight=weight, mu=mu,
                          weights=flat(weights), loss=float(total), routed_loss=float(routed_loss), gradient=flat(gradient)))
    return cases


def adamw():
    n, steps = 11, 7
    start = rng.normal(size=n)
    gradients = rng.normal(size=(steps, n)) * np.array([0.01, 2, 0.2, 5, 1e-9, 0.3, 1])[:, None]  # some clipped, some not
    p = torch.tensor(start.copy(), requires_grad=True)
    optimiser = torch.optim.AdamW([p], lr=5e-3, weight_decay=0.01, eps=1e-8)
    after = []
    for g in gradients:
        p.grad = torch.tensor(g.copy())
        torch.nn.utils.clip_grad_norm_([p], 1.0)
        optimiser.step()
        after.append(flat(p.detach()))
    return dict(start=flat(start), gradients=[flat(g) for g in gradients], after=after)


def distances():
    cases = []
    for sizes, uniform in [([3, 3], True), ([2, 5, 1, 4], False), ([16] * 6, True), ([2] * 5, True), ([4, 4, 4], False)]:
        weights = [np.ones(k) / k if uniform else rng.dirichlet(np.ones(k)) for k in sizes]
        a = [rng.normal(size=k) * 3 + rng.normal() for k in sizes]
        b = [0.5 * x + rng.normal(size=len(x)) + rng.normal() for x in a]
        centred = [(x - (p @ x), y - (p @ y), p) for x, y, p in zip(a, b, weights)]
        ab = sum((p * x * y).sum() for x, y, p in centred)
        aa, bb = sum((p * x * x).sum() for x, y, p in centred), sum((p * y * y).sum() for x, y, p in centred)
        rho = ab / math.sqrt(aa * bb)
        p, x, y = np.concatenate(weights), np.concatenate(a), np.concatenate(b)
        cov = np.cov(np.vstack([x, y]), aweights=p, bias=True)
        r = cov[0, 1] / math.sqrt(cov[0, 0] * cov[1, 1])
        lost = sum(t.max() - t[np.argmax(q)] for t, q in zip(a, b))
        could = sum(t.max() - t.min() for t in a)
        cases.append(dict(sizes=sizes, weights=flat(p), a=flat(x), b=flat(y), rho=float(rho), starc=float(math.sqrt((1 - rho) / 2)), global_rho=float(r), regret=float(lost / could)))
    return cases


def platt():
    cases = []
    for n, scale in [(30, 1.0), (200, 1e4), (60, 1e-5)]:
        m = (rng.normal(size=n) + 0.7) * scale
        slope = lambda a: -sum(mpmath.mpf(float(x)) / (1 + mpmath.e ** (a * mpmath.mpf(float(x)))) for x in m)
        low, high = mpmath.mpf(0), mpmath.mpf(100) / scale
        for _ in range(120):
            mid = (low + high) / 2
            low, high = (mid, high) if slope(mid) < 0 else (low, mid)
        a = float((low + high) / 2)
        cases.append(dict(margins=flat(m), slope=a, loss=float(np.mean(np.logaddexp(0, -a * m)))))
    s = rng.normal(size=80) * 5 + 20
    label = rng.random(80) < sigmoid((s - 19) / 4)
    x = np.stack([(s - s.mean()), np.ones(80)], 1)
    w, _, _ = newton(x, np.zeros(2), np.ones(80), np.where(label, 1.0, -1.0), 1.0)
    a, b = float(w[0]), float(w[1] - w[0] * s.mean())
    loss = float(np.mean(np.logaddexp(0, -np.where(label, 1, -1) * (a * s + b))))
    return dict(margins=cases, texts=dict(scores=flat(s), labels=[bool(x) for x in label], slope=a, offset=b, loss=loss))


def quantile_bins():
    p = np.concatenate([rng.random(70), np.full(9, 0.5)])
    came = rng.random(79) < p
    edges = np.quantile(p, np.linspace(0, 1, 16))
    at = np.digitize(p, edges[1:-1])
    error = sum(abs(p[at == b].mean() - came[at == b].mean()) * (at == b).mean() for b in range(15) if (at == b).any())
    return dict(predicted=flat(p), came_true=[bool(x) for x in came], counts=[int((at == b).sum()) for b in range(15)], error=float(error))


def entropies():
    mpmath.mp.dps = 30
    h = lambda p: mpmath.mpf(0) if p <= 0 or p >= 1 else -p * mpmath.log(p) - (1 - p) * mpmath.log(1 - p)
    cases = []
    for mean, deviation in [(0.0, 1.0), (1.5, 0.7), (-3.0, 2.0), (0.4, 4.0), (0.2, 1e-6)]:
        s = lambda x: 1 / (1 + mpmath.e ** (-x))
        normal = lambda z: mpmath.e ** (-z * z / 2) / mpmath.sqrt(2 * mpmath.pi)
        grid = [-12, -6, -3, -1, 0, 1, 3, 6, 12]
        p = mpmath.quad(lambda z: normal(z) * s(mean + deviation * z), grid)
        aleatoric = mpmath.quad(lambda z: normal(z) * h(s(mean + deviation * z)), grid)
        cases.append(dict(mean=mean, deviation=deviation, total=float(h(p)), aleatoric=float(aleatoric), epistemic=float(h(p) - aleatoric)))
    return cases


def two_sided(z):
    return math.erfc(abs(z) / math.sqrt(2))


def incentives():
    """A whole incentive table: feature 0 is the length, prompts have one pair each in the first case and up to three in the second."""
    cases = []
    for n, prompts in [(150, 150), (120, 55)]:
        d = 4
        truth = np.array([0.4, -0.9, 0.0, 0.6])
        mix = np.eye(d) + 0.4 * np.triu(np.ones((d, d)), 1)
        audited, base = rng.normal(size=(n, d)) @ mix * [20, 1, 0.3, 5] + [50, 0, 2, 0], rng.normal(size=(n, d)) @ mix * [20, 1, 0.3, 5] + [50, 0, 2, 0]
        for i in range(prompts, n):  # pairs of one prompt are nearly the same, so that what one teaches the others teach again
            audited[i], base[i] = audited[i - prompts] + 0.1 * rng.normal(size=d), base[i - prompts] + 0.1 * rng.normal(size=d)
        pool = np.vstack([audited, base])
        deviation = pool.std(0)
        x = (audited - base) / deviation
        swap = (rng.random(prompts) > sigmoid((x @ truth)[:prompts]))[np.arange(n) % prompts]
        audited[swap], base[swap] = base[swap].copy(), audited[swap].copy()
        x = (audited - base) / deviation
        prompt = np.arange(n) % prompts
        one, ones = np.ones(n), np.ones(n)

        def fit(columns, precision):
            w, h, _ = newton(x[:, columns], np.array(precision), ones, one, 1.0)
            variance = np.diag(np.linalg.inv(h))
            if prompts < n:
                score = np.zeros((prompts, len(columns)))
                for i in range(n):
                    score[prompt[i]] += (1 - sigmoid(x[i, columns] @ w)) * x[i, columns]
                sandwich = np.linalg.inv(h) @ (score.T @ score) @ np.linalg.inv(h) * prompts / (prompts - 1)
                variance = np.maximum(variance, np.diag(sandwich))
            return w, np.sqrt(variance)

        joint, errors = fit(list(range(d)), [1.0] * d)
        alone = [fit([k], [1.0]) for k in range(d)]
        held = [fit([k, 0], [1.0, 1e-6]) for k in range(1, d)]
        p = [two_sided(w / e) for w, e in zip(joint, errors)]
        order = np.argsort(p)
        holm, largest = [0.0] * d, 0.0
        for rank, k in enumerate(order):
            largest = max(largest, min(1.0, p[k] * (d - rank)))
            holm[k] = largest
        gram = x.T @ x
        vif = np.diag(np.linalg.inv(gram)) * np.diag(gram)
        m = x @ joint
        shares = joint * (x.T @ m) / (m @ m)
        reward = (pool / deviation) @ joint
        cases.append(dict(prompts=[int(k) for k in prompt], audited=flat(audited), base=flat(base), columns=d, effects=flat(joint), errors=flat(errors),
                          alone=[float(w[0]) for w, _ in alone], alone_errors=[float(e[0]) for _, e in alone], held=[float(w[0]) for w, _ in held], held_errors=[float(e[0]) for _, e in held],
                          p=[float(q) for q in p], holm=holm, vif=flat(vif), shares=flat(shares), reward_deviation=float(reward.std())))
    return cases


def main():
    made = dict(about="numpy 1.24, torch 1.13, mpmath 1.2; float64; see irl_vectors.py", logistic=logistic(), ridge=ridge(), losses=losses(), adamw=adamw(), distances=distances(),
                platt=platt(), quantile_bins=quantile_bins(), entropies=entropies(), incentives=incentives())
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "irl_vectors.json"), "w") as file:
        json.dump(made, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
