#!/usr/bin/env python3
"""What SAELens computes on one of its folders, in numpy alone: read_saelens.py FOLDER STATES.json (rows one after the other).

Follows SAELens 6 (TopK architecture): layer_norm on the input (std with n - 1), b_dec off it, the k largest of x W_enc + b_enc, ReLU, times W_dec,
b_dec on again, the normaliser undone. Its epsilon is 1e-5; the folder's own, from portal.json, is used where it is there. Prints JSON.
"""
import json
import os
import struct
import sys
import numpy as np

folder, states = sys.argv[1:3]
with open(os.path.join(folder, "cfg.json")) as file:
    cfg = json.load(file)
assert cfg["architecture"] == "topk" and cfg["normalize_activations"] == "layer_norm" and cfg["apply_b_dec_to_input"]
epsilon = 1e-5
if os.path.exists(os.path.join(folder, "portal.json")):
    with open(os.path.join(folder, "portal.json")) as file:
        epsilon = json.load(file)["normaliserEpsilon"]
with open(os.path.join(folder, "sae_weights.safetensors"), "rb") as file:
    header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    body = file.read()
w = {}
for name, entry in header.items():
    if name != "__metadata__":
        assert entry["dtype"] == "F32"
        start, end = entry["data_offsets"]
        w[name] = np.frombuffer(body[start:end], "<f4").reshape(entry["shape"]).astype(np.float64)
h = np.array(json.load(open(states)), np.float64).reshape(-1, cfg["d_in"])
mean = h.mean(1, keepdims=True)
std = (h - mean).std(1, ddof=1, keepdims=True)
x = (h - mean) / (std + epsilon)
p = (x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]
keep = np.argsort(-p, axis=1, kind="stable")[:, : cfg["k"]]
z = np.zeros_like(p)
np.put_along_axis(z, keep, np.maximum(np.take_along_axis(p, keep, 1), 0), 1)
made = (z @ w["W_dec"] + w["b_dec"]) * std + mean
json.dump({"codes": z.flatten().tolist(), "reconstruction": made.flatten().tolist()}, sys.stdout)
