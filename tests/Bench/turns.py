"""What the peers of the benches share: reading the bench's tensors, and taking turns. Used by torch_reference.py, sae_reference.py and irl_reference.py."""
import json, struct, sys, time
import numpy as np

FORMATS = {"F32": np.float32, "I64": np.int64}


def read_safetensors(path):
    """Header length (u64 LE), JSON header, then raw tensors, as arrays; only F32 and I64 are written by the benches."""
    with open(path, "rb") as f:
        size, = struct.unpack("<Q", f.read(8))
        header = json.loads(f.read(size))
        data = f.read()
    out = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        out[name] = np.frombuffer(data[begin:end], FORMATS[entry["dtype"]]).reshape(entry["shape"]).copy()
    return out


def take_turns(run, **hello):
    """Says hello as a line of JSON; then a line with a number on standard input asks for so many repetitions, a line {"all": [seconds, ...]} answers."""
    print(json.dumps(hello), flush=True)
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            begin = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - begin)
        print(json.dumps({"all": seconds}), flush=True)
