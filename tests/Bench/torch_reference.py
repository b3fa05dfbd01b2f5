#!/usr/bin/python3
"""The peer of `./bench engine`: the same Llama, the same weights, the same tokens, in plain PyTorch (eager, fp32, CPU).

One case a process. When the weights are loaded and two steps are run, it prints a line of JSON: first_loss, more_losses, greedy_ids, tokens,
library, threads. Then it waits: a line with a number on standard input asks for so many repetitions, a line {"all": [seconds, ...]} answers; it
ends with its input. Both sides are started by the bench under the same environment (threads, OMP_WAIT_POLICY, malloc settings) and take turns.

usage: torch_reference.py CASE --weights FILE.safetensors --shape D,L,H,F,V --batch B --length T --prompt P --new N --threads K
       torch_reference.py both-logprobs --weights FILE.safetensors --audited FILE.safetensors --answers FILE.safetensors --shape D,L,H,F,V --threads K
CASE is one of sft, dpo, rm, logprob, generate; both-logprobs belongs to `./bench audits`: log-probs of the same answers under two policies. DPO uses cached reference log-probs, as the engine's recipe does.
"""
import argparse, math
import torch, torch.nn as nn, torch.nn.functional as F
from turns import read_safetensors, take_turns


class RmsNorm(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.weight


def rotate(x, cos, sin):
    """Hugging Face's convention: first and second half of a head form the pairs."""
    half = x.shape[-1] // 2
    return x * cos + torch.cat((-x[..., half:], x[..., :half]), -1) * sin


class Block(nn.Module):
    def __init__(self, d, h, f):
        super().__init__()
        self.h = h
        self.n1, self.n2 = RmsNorm(d), RmsNorm(d)
        self.qkv, self.o = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d, bias=False)
        self.gate, self.up, self.down = nn.Linear(d, f, bias=False), nn.Linear(d, f, bias=False), nn.Linear(f, d, bias=False)

    def forward(self, x, cos, sin, mask, cache=None):
        b, t, d = x.shape
        q, k, v = self.qkv(self.n1(x)).view(b, t, 3, self.h, d // self.h).permute(2, 0, 3, 1, 4)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if cache is not None:
            keys, values, n = cache
            keys[:, :, n:n + t] = k
            values[:, :, n:n + t] = v
            k, v = keys[:, :, :n + t], values[:, :, :n + t]
        a = (q @ k.transpose(-1, -2)) / math.sqrt(d // self.h)
        if mask is not None:
            a = a + mask
        x = x + self.o((a.softmax(-1) @ v).transpose(1, 2).reshape(b, t, d))
        h = self.n2(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Llama(nn.Module):
    def __init__(self, d, layers, heads, f, vocabulary, context):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, d)
        self.blocks = nn.ModuleList(Block(d, heads, f) for _ in range(layers))
        self.norm = RmsNorm(d)
        self.score = nn.Linear(d, 1, bias=False)
        self.d, self.heads = d, heads
        angles = torch.arange(context)[:, None] / 10000 ** (torch.arange(0, d // heads, 2) / (d // heads))
        self.cos, self.sin = torch.cat((angles, angles), -1).cos(), torch.cat((angles, angles), -1).sin()

    def load(self, weights):
        with torch.no_grad():
            self.embed.weight.copy_(weights["model.embed_tokens.weight"])
            self.norm.weight.copy_(weights["model.norm.weight"])
            if "score.weight" in weights:
                self.score.weight.copy_(weights["score.weight"])
            for i, block in enumerate(self.blocks):
                p = f"model.layers.{i}."
                block.qkv.weight.copy_(torch.cat([weights[p + f"self_attn.{n}_proj.weight"] for n in "qkv"]))
                block.o.weight.copy_(weights[p + "self_attn.o_proj.weight"])
                block.gate.weight.copy_(weights[p + "mlp.gate_proj.weight"])
                block.up.weight.copy_(weights[p + "mlp.up_proj.weight"])
                block.down.weight.copy_(weights[p + "mlp.down_proj.weight"])
                block.n1.weight.copy_(weights[p + "input_layernorm.weight"])
                block.n2.weight.copy_(weights[p + "post_attention_layernorm.weight"])
        return self

    def hidden(self, ids):
        t = ids.shape[1]
        mask = torch.full((t, t), float("-inf")).triu(1)
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x, self.cos[:t], self.sin[:t], mask)
        return self.norm(x)

    def logits(self, x):
        return x @ self.embed.weight.t()

    def log_probs(self, ids):
        logits = self.logits(self.hidden(ids)[:, :-1])
        return logits.gather(-1, ids[:, 1:, None]).squeeze(-1) - logits.logsumexp(-1)

    @torch.no_grad()
    def generate(self, ids, new, greedy=False):
        b, p = ids.shape
        caches = [(torch.zeros(b, self.heads, p + new, self.d // self.heads), torch.zeros(b, self.heads, p + new, self.d // self.heads))
                  for _ in self.blocks]
        current, n, out = ids, 0, [ids]
        for _ in range(new):
            t = current.shape[1]
            mask = torch.full((t, t), float("-inf")).triu(1) if t > 1 else None
            x = self.embed(current)
            for block, (keys, values) in zip(self.blocks, caches):
                x = block(x, self.cos[n:n + t], self.sin[n:n + t], mask, (keys, values, n))
            n += t
            logits = self.logits(self.norm(x[:, -1]))
            current = logits.argmax(-1, keepdim=True) if greedy else torch.multinomial(logits.softmax(-1), 1)
            out.append(current)
        return torch.cat(out, 1)


def read_weights(path):
    return {name: torch.from_numpy(array) for name, array in read_safetensors(path).items()}


def tokens(batch, length, vocabulary):
    """The same made-up tokens on both sides."""
    return torch.tensor([[(i * 7919 + b * 104729 + 13) % vocabulary for i in range(length)] for b in range(batch)])


@torch.no_grad()
def both_log_probs(a, shape):
    """Answers of a file under two policies: rows of about the same length together, 64 at once."""
    file = read_weights(a.answers)
    ids, prompts, ends = file["ids"], file["prompts"], file["ends"]
    policies = [Llama(*shape, ids.shape[1]).load(read_weights(path)) for path in (a.weights, a.audited)]
    batches = ends.argsort().split(64)

    def answers(model):
        sums = torch.empty(len(ids))
        for rows in batches:
            width = int(ends[rows].max())
            places = torch.arange(1, width)
            counts = (places >= prompts[rows, None]) & (places < ends[rows, None])
            sums[rows] = model.log_probs(ids[rows, :width]).where(counts, torch.zeros(())).sum(1)
        return sums

    first = torch.cat([answers(model) / (ends - prompts) for model in policies]).tolist()
    take_turns(lambda: [answers(model) for model in policies], first_loss=first[0], more_losses=first[1:], greedy_ids=[], tokens=len(first), library=f"PyTorch {torch.__version__}", threads=torch.get_num_threads())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("case", choices=["sft", "dpo", "rm", "logprob", "generate", "both-logprobs"])
    parser.add_argument("--weights", required=True)
    parser.add_argument("--audited")
    parser.add_argument("--answers")
    parser.add_argument("--shape", required=True)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--new", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    d, layers, heads, f, v = map(int, a.shape.split(","))
    if a.case == "both-logprobs":
        return both_log_probs(a, (d, layers, heads, f, v))
    model = Llama(d, layers, heads, f, v, max(a.length, a.prompt + a.new)).load(read_weights(a.weights))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.0)
    ids = tokens(a.batch, a.length, v)
    half = a.batch // 2
    count, more, greedy_ids = a.batch * a.length, [], []

    def step(loss):
        value = loss.item()  # a training loop reports its loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return value

    if a.case == "sft":
        run = lambda: step(F.cross_entropy(model.logits(model.hidden(ids)[:, :-1]).flatten(0, 1), ids[:, 1:].flatten()))
    elif a.case == "dpo":
        with torch.no_grad():
            reference = model.log_probs(ids)[:, a.prompt:].sum(1)
        more.append(reference.mean().item() / (a.length - 1 - a.prompt))

        def run():
            difference = model.log_probs(ids)[:, a.prompt:].sum(1) - reference
            return step(-F.logsigmoid(0.1 * (difference[:half] - difference[half:])).mean())
    elif a.case == "rm":
        def run():
            scores = model.score(model.hidden(ids)[:, -1]).squeeze(-1)
            return step(-F.logsigmoid(scores[:half] - scores[half:]).mean())
    elif a.case == "logprob":
        def run():
            with torch.no_grad():
                return model.log_probs(ids).sum(1).mean().item() / (a.length - 1)
    else:
        prompt = tokens(a.batch, a.prompt, v)
        count = a.batch * a.new
        greedy_ids = model.generate(prompt, a.new, greedy=True)[:, a.prompt:].flatten().tolist()

        def run():
            model.generate(prompt, a.new)

    # Two runs before the clock counts: the first allocates, and the second shows that the first update was the same one.
    if a.case == "generate":
        with torch.no_grad():
            first = model.log_probs(prompt).mean().item()
        run()
    else:
        first = run()
        more.insert(0, run())
    take_turns(run, first_loss=first, more_losses=more, greedy_ids=greedy_ids, tokens=count, library=f"PyTorch {torch.__version__}", threads=torch.get_num_threads())


main()
