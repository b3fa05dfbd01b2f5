"""What the peers of the benches share: reading the bench's weights, and taking turns. Used by torch_reference.py and sae_reference.py."""
import json, struct, sys, time
import torch


def read_safetensors(path):
    """Header length (u64 LE), JSON header, then raw tensors; only F32 is written by the bench."""
    with open(path, "rb") as f:
        size, = struct.unpack("<Q", f.read(8))
        header = json.loads(f.read(size))
        data = f.read()
    out = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        assert entry["dtype"] == "F32", name
        begin, end = entry["data_offsets"]
        out[name] = torch.frombuffer(bytearray(data[begin:end]), dtype=torch.float32).reshape(entry["shape"]).clone()
    return out


def take_turns(run, **hello):
    """Says hello as a line of JSON; then a line with a number on standard input asks for so many repetitions, a line {"all": [seconds, ...]} answers."""
    print(json.dumps({**hello, "torch": torch.__version__, "threads": torch.get_num_threads()}), flush=True)
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            begin = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - begin)
        print(json.dumps({"all": seconds}), flush=True)
