#!/usr/bin/env python3
"""Writes torch_ops.json: what PyTorch answers, for tests/Portal.Tests/Engine/Torch/OperatorTests.cs and OptimizerTests.cs.

Made with: python3 torch_ops.py > torch_ops.json   (python3-torch 1.13.1, CPU, one thread, seed 7)
Each operator case holds its float inputs (gradients are wanted of them), integer inputs, the output, and the gradients of
sum(output * weight), weight being drawn too. The C# test has one lambda for each name; a name without one fails the test.
"""
import json
import torch
import torch.nn.functional as F

torch.manual_seed(7)
torch.set_num_threads(1)


def pack(t):
    t = t.detach()
    kind = {torch.float32: "f", torch.int64: "i", torch.bool: "b", torch.float64: "d"}[t.dtype]
    return {"t": kind, "s": list(t.shape), "v": [float(v) if kind in "fd" else int(v) for v in t.contiguous().reshape(-1).tolist()]}


cases = []


def case(name, f, floats, ints=()):
    floats = [t.clone().requires_grad_(True) for t in floats]
    out = f(*floats, *ints)
    entry = {"name": name, "floats": [pack(t) for t in floats], "ints": [pack(t) for t in ints], "out": pack(out)}
    if out.requires_grad:
        weight = torch.randn(out.shape)
        grads = torch.autograd.grad((out * weight).sum(), floats, allow_unused=True)
        entry["weight"] = pack(weight)
        entry["grads"] = [None if g is None else pack(g) for g in grads]
    cases.append(entry)


R = torch.randn
P = lambda *s: torch.rand(*s) + 0.5
I = lambda hi, *s: torch.randint(0, hi, s)

for n, f in [("abs", torch.abs), ("exp", torch.exp), ("sigmoid", torch.sigmoid), ("tanh", torch.tanh), ("relu", torch.relu),
             ("silu", F.silu), ("gelu", F.gelu), ("gelu_tanh", lambda x: F.gelu(x, approximate="tanh")), ("logsigmoid", F.logsigmoid),
             ("softplus", F.softplus), ("square", torch.square), ("neg", torch.neg), ("erf", torch.erf), ("sin", torch.sin), ("cos", torch.cos),
             ("floor", torch.floor), ("sign", torch.sign), ("expm1", torch.expm1)]:
    case(n, f, [R(3, 4)])
for n, f in [("log", torch.log), ("sqrt", torch.sqrt), ("rsqrt", torch.rsqrt), ("reciprocal", torch.reciprocal), ("log1p", torch.log1p), ("lgamma", torch.lgamma)]:
    case(n, f, [P(3, 4)])
case("add_alpha", lambda a, b: torch.add(a, b, alpha=0.25), [R(3, 4), R(4)])
case("sub_scalar_left", lambda a: 2.5 - a, [R(3, 4)])
case("div_scalar_left", lambda a: 2.5 / a, [P(3, 4)])
case("div_floor", lambda a, b: torch.div(a, b, rounding_mode="floor"), [R(3, 4), P(4)])
case("mul_broadcast", lambda a, b: a * b, [R(3, 1, 4), R(2, 1)])
case("pow_tensor", torch.pow, [P(3, 4), R(3, 4)])
case("pow_scalar", lambda a: a.pow(3), [R(3, 4)])
case("remainder", lambda a: a % 0.7, [R(3, 4)])
case("clamp", lambda a: a.clamp(-0.5, 0.5), [R(3, 4)])
case("maximum", torch.maximum, [R(3, 4), R(3, 4)])
case("where", lambda a, b, c: torch.where(c > 0, a, b), [R(3, 4), R(3, 4)], [I(2, 3, 4)])
case("lerp", lambda a, b, w: torch.lerp(a, b, w), [R(3, 4), R(3, 4), P(3, 4)])
case("addcmul", lambda a, b, c: torch.addcmul(a, b, c, value=0.3), [R(3, 4), R(3, 4), R(3, 4)])
case("addcdiv", lambda a, b, c: torch.addcdiv(a, b, c, value=0.3), [R(3, 4), R(3, 4), P(3, 4)])
case("masked_fill", lambda a, m: a.masked_fill(m > 0, -7.0), [R(3, 4)], [I(2, 3, 4)])
case("logaddexp", torch.logaddexp, [R(3, 4), R(3, 4)])
case("xlogy", torch.xlogy, [P(3, 4), P(3, 4)])
case("nan_to_num", lambda i: torch.nan_to_num((i - 1).float() / 0, nan=1.5, posinf=3.0, neginf=-2.0), [], [I(3, 3, 4)])

case("sum_all", lambda a: a.sum(), [R(3, 4)])
case("sum_dims", lambda a: a.sum((0, 2), keepdim=True), [R(3, 4, 2)])
case("mean_dim", lambda a: a.mean((-1,), keepdim=True), [R(3, 4)])
case("var", lambda a: a.var(), [R(3, 4)])
case("var_dim", lambda a: a.var(1, unbiased=False, keepdim=True), [R(3, 4)])
case("std_dim", lambda a: a.std(0), [R(3, 4)])
case("prod_dim", lambda a: a.prod(1), [R(3, 4)])
case("max_dim", lambda a: a.max(1)[0], [R(3, 4)])
case("amin", lambda a: a.amin((0, 1)), [R(3, 4, 2)])
case("argmax", lambda a: a.argmax(1), [R(3, 4)])
case("topk", lambda a: a.topk(2, 1)[0], [R(3, 5)])
case("topk_index", lambda a: a.topk(2, 1)[1], [R(3, 5)])
case("sort", lambda a: a.sort(0, descending=True)[0], [R(5, 3)])
case("argsort", lambda a: a.argsort(0), [R(5, 3)])
case("cumsum", lambda a: a.cumsum(1), [R(3, 4)])
case("logsumexp", lambda a: a.logsumexp(1), [R(3, 4)])
case("softmax", lambda a: a.softmax(-1), [R(3, 4)])
case("log_softmax", lambda a: a.log_softmax(0), [R(3, 4)])
case("norm", lambda a: a.norm(), [R(3, 4)])
case("norm_dim", lambda a: a.norm(1, dim=1), [R(3, 4)])
case("median", lambda a: a.median(), [R(7)])
case("quantile", lambda a: a.quantile(torch.tensor([0.25, 0.6]), dim=0), [R(9, 2)])
case("cov", lambda a: torch.cov(a), [R(3, 6)])

case("matmul", torch.matmul, [R(2, 3, 4), R(4, 5)])
case("bmm", torch.bmm, [R(2, 3, 4), R(2, 4, 5)])
case("mv", torch.mv, [R(3, 4), R(4)])
case("addmm", lambda a, b, c: torch.addmm(a, b, c, beta=0.5, alpha=2.0), [R(3, 5), R(3, 4), R(4, 5)])
case("baddbmm", lambda a, b, c: torch.baddbmm(a, b, c, beta=0.5, alpha=2.0), [R(2, 3, 5), R(2, 3, 4), R(2, 4, 5)])
case("einsum", lambda a, b: torch.einsum("bij,bkj->bik", a, b), [R(2, 3, 4), R(2, 5, 4)])
case("outer", torch.outer, [R(3), R(4)])
case("cdist", lambda a, b: torch.cdist(a, b), [R(3, 4), R(5, 4)])
case("cholesky", lambda a: torch.linalg.cholesky(a @ a.t() + 3 * torch.eye(3)), [R(3, 3)])
case("solve", lambda a, b: torch.linalg.solve(a + 3 * torch.eye(3), b), [R(3, 3), R(3, 2)])
case("eigvalsh", lambda a: torch.linalg.eigvalsh(a + a.t()), [R(3, 3)])
case("svdvals", lambda a: torch.linalg.svdvals(a), [R(4, 3)])
case("lstsq", lambda a, b: torch.linalg.lstsq(a, b)[0], [R(5, 3), R(5, 2)])
case("slogdet", lambda a: torch.linalg.slogdet(a + 3 * torch.eye(3))[1], [R(3, 3)])

case("permute", lambda a: a.permute(2, 0, 1) * 2, [R(2, 3, 4)])
case("expand", lambda a: a.unsqueeze(1).expand(3, 5, 4), [R(3, 4)])
case("cat", lambda a, b: torch.cat([a, b], 1), [R(3, 4), R(3, 2)])
case("stack", lambda a, b: torch.stack([a, b], -1), [R(3, 4), R(3, 4)])
case("split", lambda a: a.split([1, 3], 1)[1], [R(3, 4)])
case("chunk", lambda a: a.chunk(2, 0)[1], [R(4, 3)])
case("gather", lambda a, i: a.gather(1, i), [R(3, 4)], [I(4, 3, 2)])
case("scatter_add", lambda a, b, i: a.scatter_add(1, i, b), [R(3, 4), R(3, 2)], [I(4, 3, 2)])
case("index_select", lambda a, i: a.index_select(1, i), [R(3, 4)], [I(4, 5)])
case("index_add", lambda a, b, i: a.index_add(0, i, b), [R(3, 4), R(5, 4)], [I(3, 5)])
case("index_slices", lambda a: a[1:, ..., None, -1], [R(3, 4, 2)])
case("index_step", lambda a: a[..., ::2], [R(3, 5)])
case("index_tensors", lambda a, i, j: a[i, j], [R(3, 4)], [I(3, 6), I(4, 6)])
case("index_mixed", lambda a, i: a[:, i, 1:], [R(3, 4, 3)], [I(4, 5)])
case("index_mask", lambda a, m: a[m > 0], [R(3, 4)], [I(2, 3, 4)])
case("tril", lambda a: a.tril(-1), [R(4, 4)])
case("triu", lambda a: a.triu(1), [R(4, 4)])
case("roll", lambda a: a.roll(2, 1), [R(3, 5)])
case("repeat_interleave", lambda a: a.repeat_interleave(3, 1), [R(2, 3)])
case("pad", lambda a: F.pad(a, (1, 2, 0, 1), value=0.5), [R(2, 3)])

case("pad_sequence", lambda a, b: torch.nn.utils.rnn.pad_sequence([a, b], batch_first=True, padding_value=-1.0), [R(3, 2), R(5, 2)])
case("linear", lambda x, w, b: F.linear(x, w, b), [R(2, 3, 4), R(5, 4), R(5)])
case("embedding", lambda w, i: F.embedding(i, w), [R(6, 4)], [I(6, 2, 3)])
case("layer_norm", lambda x, w, b: F.layer_norm(x, (4,), w, b), [R(3, 4), P(4), R(4)])
case("cross_entropy", lambda x, t: F.cross_entropy(x, t), [R(5, 7)], [I(7, 5)])
case("cross_entropy_ignore", lambda x, t: F.cross_entropy(x, t, ignore_index=2, reduction="sum", label_smoothing=0.1), [R(5, 4)], [I(4, 5)])
case("nll_loss", lambda x, t: F.nll_loss(x.log_softmax(1), t, reduction="none"), [R(5, 7)], [I(7, 5)])
case("bce_logits", lambda x, t: F.binary_cross_entropy_with_logits(x, t.float()), [R(5)], [I(2, 5)])
case("mse_loss", lambda a, b: F.mse_loss(a, b), [R(5), R(5)])
case("smooth_l1", lambda a, b: F.smooth_l1_loss(a, b, beta=0.5), [R(5), R(5)])
case("huber", lambda a, b: F.huber_loss(a, b, delta=0.5), [R(5), R(5)])
case("kl_div", lambda a, b: F.kl_div(a.log_softmax(1), b.log_softmax(1), log_target=True, reduction="sum"), [R(3, 4), R(3, 4)])
case("one_hot", lambda i: F.one_hot(i, 5), [], [I(5, 2, 3)])
case("normalize", lambda a: F.normalize(a, dim=1), [R(3, 4)])
case("cosine_similarity", lambda a, b: F.cosine_similarity(a, b), [R(3, 4), R(3, 4)])


def attention(q, k, v, mask):
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    return scores.masked_fill(mask, float("-inf")).softmax(-1) @ v


case("attention_causal", lambda q, k, v: attention(q, k, v, torch.ones(4, 4).triu(1).bool()), [R(2, 4, 3), R(2, 4, 3), R(2, 4, 3)])
case("attention_mask", lambda q, k, v, m: attention(q, k, v, m == 0), [R(2, 4, 3), R(2, 5, 3), R(2, 5, 3)], [torch.ones(4, 5, dtype=torch.int64).tril(1)])

# ---- optimisers: parameters after each of 12 steps on gradients that are drawn once ----
optimizers = []


def trajectory(name, make, groups=None, skip=False):
    a, b = R(4, 3), R(5)
    grads = [(R(4, 3), R(5)) for _ in range(12)]
    p, q = torch.nn.Parameter(a.clone()), torch.nn.Parameter(b.clone())
    opt = make([p, q]) if groups is None else make([{"params": [p], **groups[0]}, {"params": [q], **groups[1]}])
    steps = []
    for i, (g, h) in enumerate(grads):
        p.grad = g.clone()
        # A parameter without a gradient keeps its own step count.
        q.grad = None if skip and i % 3 == 1 else h.clone()
        opt.step()
        steps.append([pack(p), pack(q)])
    optimizers.append({"name": name, "start": [pack(a), pack(b)], "grads": [[pack(g), pack(h)] for g, h in grads], "skip": skip, "steps": steps})


O = torch.optim
trajectory("adamw", lambda p: O.AdamW(p, lr=0.05, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1))
trajectory("adamw_skip", lambda p: O.AdamW(p, lr=0.05, weight_decay=0.01), skip=True)
trajectory("adamw_amsgrad", lambda p: O.AdamW(p, lr=0.05, weight_decay=0.1, amsgrad=True))
trajectory("adamw_maximize", lambda p: O.AdamW(p, lr=0.05, weight_decay=0.1, maximize=True))
trajectory("adamw_groups", lambda p: O.AdamW(p, lr=0.05, weight_decay=0.0), groups=[{"lr": 0.01, "weight_decay": 0.3}, {"lr": 0.1, "betas": (0.5, 0.9)}])
trajectory("adam", lambda p: O.Adam(p, lr=0.05, weight_decay=0.1))
trajectory("sgd", lambda p: O.SGD(p, lr=0.05))
trajectory("sgd_momentum", lambda p: O.SGD(p, lr=0.05, momentum=0.9, dampening=0.1, weight_decay=0.1))
trajectory("sgd_nesterov", lambda p: O.SGD(p, lr=0.05, momentum=0.9, nesterov=True), skip=True)

# ---- schedules: the rate before each of 25 steps ----
schedules = []


def schedule(name, make):
    p = torch.nn.Parameter(torch.zeros(1))
    opt = O.SGD([p], lr=0.4)
    s = make(opt)
    rates = []
    for _ in range(25):
        rates.append(s.get_last_lr()[0])
        p.grad = torch.zeros(1)
        opt.step()
        s.step()
    schedules.append({"name": name, "rates": rates})


S = O.lr_scheduler
schedule("lambda", lambda o: S.LambdaLR(o, lambda e: min(1.0, (e + 1) / 5) * 0.9 ** e))
schedule("cosine", lambda o: S.CosineAnnealingLR(o, T_max=20, eta_min=0.01))
schedule("linear", lambda o: S.LinearLR(o, start_factor=0.1, end_factor=0.8, total_iters=7))
schedule("constant", lambda o: S.ConstantLR(o, factor=0.25, total_iters=4))
schedule("step", lambda o: S.StepLR(o, step_size=4, gamma=0.5))
schedule("multistep", lambda o: S.MultiStepLR(o, milestones=[3, 9, 10], gamma=0.5))
schedule("exponential", lambda o: S.ExponentialLR(o, gamma=0.9))
schedule("sequential", lambda o: S.SequentialLR(o, [S.LinearLR(o, start_factor=0.1, total_iters=5), S.CosineAnnealingLR(o, T_max=15, eta_min=0.02)], milestones=[5]))
schedule("polynomial", lambda o: S.PolynomialLR(o, total_iters=10, power=2.0))

# ---- random numbers of the CPU generator ----
g = torch.Generator().manual_seed(1234)
draws = {"uniform": pack(torch.rand(5, generator=g)), "normal": pack(torch.randn(20, generator=g)),
         "integers": pack(torch.randint(0, 1000, (6,), generator=g)), "permutation": pack(torch.randperm(8, generator=g)),
         "multinomial": pack(torch.multinomial(torch.tensor([0.1, 0.2, 0.3, 0.4]), 10, replacement=True, generator=g))}

p = [torch.nn.Parameter(R(3, 4)), torch.nn.Parameter(R(5))]
grads = [R(3, 4) * 3, R(5) * 3]
for a, b in zip(p, grads):
    a.grad = b.clone()
norm = torch.nn.utils.clip_grad_norm_(p, 1.5)
clip = {"grads": [pack(t) for t in grads], "max": 1.5, "norm": float(norm), "clipped": [pack(a.grad) for a in p]}

print(json.dumps({"by": "tests/Golden/torch_ops.py", "torch": torch.__version__, "cases": cases, "optimizers": optimizers,
                  "schedules": schedules, "draws": draws, "clip": clip}, separators=(",", ":"), allow_nan=False))
