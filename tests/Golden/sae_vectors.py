#!/usr/bin/env python3
"""Golden vectors of a TopK sparse autoencoder: PyTorch's autograd and torch.optim.Adam on the formulas of specs/sarm.md 1.2 and 1.3.

Writes sae_vectors.json beside itself: /usr/bin/python3 tests/Golden/sae_vectors.py (python3-torch 1.13, float64, one thread).
Nothing here shares code with engine/Sae: the product is dense, the selection a stable descending sort, the gradients autograd's.
Each case: configuration, inputs, start weights; x, selected latents, z, reconstruction, loss and gradients of the first step; the weights
after `steps` steps of Adam with the decoder's rows at norm 1 before the first step and after every tenth.
"""
import json
import os
import torch

torch.set_num_threads(1)
DTYPE = torch.float64


def normalise(h, epsilon=1e-6):
    mean = h.mean(-1, keepdim=True)
    return (h - mean) / (h.std(-1, keepdim=True) + epsilon)  # std: n - 1


def topk(p, k):
    order = torch.sort(p, dim=-1, descending=True, stable=True).indices
    return order[:, :k]


def forward(w, x, kinds, k, relu, batch_topk):
    centre = w["pre_bias"][kinds]
    p = (x - centre) @ w["encoder"].T + w["bias"]
    if batch_topk:
        keep = torch.zeros(p.numel(), dtype=torch.bool)
        keep[torch.sort(p.flatten(), descending=True, stable=True).indices[: k * len(x)]] = True
        mask = keep.view_as(p)
    else:
        mask = torch.zeros_like(p, dtype=torch.bool).scatter(1, topk(p, k), True)
    z = torch.where(mask, p.relu() if relu else p, torch.zeros_like(p))
    return p, mask, z, z @ w["decoder"] + centre


def losses(w, x, kinds, case, silent):
    p, mask, z, xhat = forward(w, x, kinds, case["k"], case["relu"], case["selection"] == "BatchTopK")
    size = x.square().sum(-1)
    nmse = ((xhat - x).square().sum(-1) / size).mean()
    dead = silent >= case["dead_after"]
    aux = torch.zeros((), dtype=DTYPE)
    if case["aux"] > 0 and dead.any():
        half = x.shape[1] // 2
        count = min(half, int(dead.sum()))
        candidates = torch.where(dead[None], p, torch.full_like(p, -torch.inf))
        chosen = topk(candidates, count)
        za = p.gather(1, chosen)
        za = za.relu() if case["relu"] else za
        ehat = (za[..., None] * w["decoder"][chosen]).sum(1)
        e = (x - xhat).detach()
        aux = case["aux"] * min(int(dead.sum()) / half, 1) * ((ehat - e).square().sum(-1) / size).mean()
    return p, mask, z, xhat, nmse, aux


def unit_norm(w):
    with torch.no_grad():
        w["decoder"] /= w["decoder"].norm(dim=1, keepdim=True)


def make(name, seed, width, latents, k, rows, steps, relu=True, selection="TopK", aux=0.0, dead_after=10**9, centres=1, lr=5e-3):
    g = torch.Generator().manual_seed(seed)
    case = dict(name=name, width=width, latents=latents, k=k, rows=rows, steps=steps, relu=relu, selection=selection, aux=aux,
                dead_after=dead_after, centres=centres, learning_rate=lr)
    # Few directions and an offset, so that latents differ in use and some die.
    basis = torch.randn(6, width, generator=g, dtype=DTYPE)
    hidden = torch.randn(steps, rows, 6, generator=g, dtype=DTYPE).relu() @ basis + 0.1 * torch.randn(steps, rows, width, generator=g, dtype=DTYPE) + basis[0]
    kinds = torch.randint(0, centres, (steps, rows), generator=g)
    bound = width ** -0.5
    encoder = (torch.rand(latents, width, generator=g, dtype=DTYPE) * 2 - 1) * bound
    w = dict(encoder=encoder.clone(), bias=torch.zeros(latents, dtype=DTYPE), decoder=encoder.clone(), pre_bias=torch.zeros(centres, width, dtype=DTYPE))
    unit_norm(w)
    # float32 is what is trained: start from numbers that both sides hold exactly.
    w = {key: value.float().double().requires_grad_() for key, value in w.items()}
    hidden = hidden.float().double()
    case["hidden"], case["kinds"] = hidden.flatten().tolist(), kinds.flatten().tolist()
    case["start"] = {key: value.detach().flatten().tolist() for key, value in w.items()}
    optimizer = torch.optim.Adam(list(w.values()), lr=lr, betas=(0.9, 0.999), eps=1e-8)
    silent = torch.zeros(latents, dtype=torch.int64)
    case["nmse"], case["aux_loss"], case["dead"] = [], [], []
    for step in range(steps):
        x = normalise(hidden[step])
        p, mask, z, xhat, nmse, auxiliary = losses(w, x, kinds[step], case, silent)
        optimizer.zero_grad()
        (nmse + auxiliary).backward()
        if step == 0:
            case["x"], case["reconstruction"] = x.flatten().tolist(), xhat.detach().flatten().tolist()
            case["z"] = z.detach().flatten().tolist()
            case["grad"] = {key: value.grad.flatten().tolist() for key, value in w.items()}
        case["nmse"].append(nmse.item())
        case["aux_loss"].append(float(auxiliary))
        case["dead"].append(int((silent >= dead_after).sum()))
        optimizer.step()
        silent += rows
        silent[(z > 0).any(0)] = 0
        if (step + 1) % 10 == 0:
            unit_norm(w)
    case["end"] = {key: value.detach().flatten().tolist() for key, value in w.items()}
    return case


cases = [
    make("topk", 1, 12, 40, 5, 16, 12),
    make("without relu", 2, 8, 10, 7, 9, 12, relu=False),
    make("two centres", 3, 12, 32, 4, 16, 11, centres=2),
    make("auxiliary loss", 4, 10, 64, 3, 8, 25, aux=1 / 32, dead_after=48, centres=2),
    make("batch topk", 5, 12, 40, 4, 16, 12, selection="BatchTopK"),
]
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "sae_vectors.json"), "w") as file:
    json.dump({"made_by": "tests/Golden/sae_vectors.py", "torch": torch.__version__, "dtype": "float64", "cases": cases}, file)
for case in cases:
    print(case["name"], case["nmse"][0], case["nmse"][-1], max(case["dead"]))
