#!/usr/bin/python3
"""The peer of `./bench features`: a step of the same TopK SAE in plain PyTorch (eager, fp32, CPU), autograd and torch.optim.Adam.

dense: codes as a full matrix, two products; gather: the selected rows of the decoder summed by embedding_bag, the fastest sparse form PyTorch has. Reads the bench's
SAELens folder and its vectors. Talks as torch_reference.py does: a line of JSON when ready, then so many repetitions a line.

usage: sae_reference.py dense|gather --weights FOLDER --batch B --threads K --rate LR
"""
import argparse, json, os
import torch
import torch.nn.functional as F
from turns import read_safetensors, take_turns


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("how", choices=["dense", "gather"])
    parser.add_argument("--weights", required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rate", type=float, required=True)
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    weights = {name: torch.from_numpy(array) for name, array in read_safetensors(os.path.join(a.weights, "sae_weights.safetensors")).items()}
    vectors = torch.from_numpy(read_safetensors(os.path.join(a.weights, "vectors.safetensors"))["vectors"])
    with open(os.path.join(a.weights, "cfg.json")) as f:
        k = json.load(f)["k"]
    encoder = weights["W_enc"].t().contiguous().requires_grad_()  # [M, d]
    bias, decoder, centre = weights["b_enc"].requires_grad_(), weights["W_dec"].requires_grad_(), weights["b_dec"].requires_grad_()
    optimizer = torch.optim.Adam([encoder, bias, decoder, centre], lr=a.rate)
    batches = vectors.split(a.batch)
    done = 0

    def run():
        nonlocal done
        x = batches[done % len(batches)]
        p = F.linear(x - centre, encoder, bias)
        values, indices = p.topk(k, sorted=False)
        values = values.relu()
        if a.how == "dense":
            made = torch.zeros_like(p).scatter(1, indices, values) @ decoder + centre
        else:
            made = F.embedding_bag(indices, decoder, per_sample_weights=values, mode="sum") + centre
        loss = ((made - x).square().sum(-1) / x.square().sum(-1)).mean()
        value = loss.item()  # a training loop reports its loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        done += 1
        if done % 10 == 0:
            with torch.no_grad():
                decoder.div_(decoder.norm(dim=1, keepdim=True))
        return value

    first, second = run(), run()
    take_turns(run, first_loss=first, more_losses=[second], greedy_ids=[], tokens=a.batch, library=f"PyTorch {torch.__version__}", threads=torch.get_num_threads())


main()
