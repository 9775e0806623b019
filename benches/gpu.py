"""Everything that is measured on a machine with a GPU, in one run: `python3 gpu.py` in the bundle of `cargo xtask gpu`.

The tests of the kernels; nanoGPT's GPU recipe; GPT-2 124M in bf16 beside PyTorch, in turns; two trials at a time; and the
synchronisations of a step, where `nsys` is there to count them. Prints what it found, and writes it to `gpu.json`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

BUNDLE = Path(__file__).resolve().parent
DEVICE = "cuda:0"
CUPEL = ["--device", f"libtorch:{DEVICE}"]
BF16 = ["--set", "training.kernels = 'fused'", "--set", "training.precision = 'bf16'"]
AGREEING_STEPS, STEPS, ALTERNATIONS = 10, 20, 7
# Six products of a block and the head, two operands each, backward twice as many, each rounded by 2^-9, in 12 blocks.
TOLERANCE = 2**-9 * (3 * 2 * (6 * 12 + 1)) ** 0.5

ENVIRONMENT = dict(os.environ, CUPEL_DATA=str(BUNDLE))
libraries = [str(Path(torch.__file__).parent / "lib"), os.environ.get("LD_LIBRARY_PATH", "")]
ENVIRONMENT["LD_LIBRARY_PATH"] = ":".join(filter(None, libraries))


def run(*command):
    print("$", *command, flush=True)
    subprocess.run([str(word) for word in command], env=ENVIRONMENT, cwd=BUNDLE, check=True)


class Worker:
    def __init__(self, *command):
        pipe = subprocess.PIPE
        words = [str(word) for word in command]
        self.process = subprocess.Popen(words, env=ENVIRONMENT, cwd=BUNDLE, stdin=pipe, stdout=pipe, text=True)
        self.versions = json.loads(self.process.stdout.readline())

    def ask(self, steps):
        print(steps, file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())


def shakespeare():
    start = time.perf_counter()
    run("./cupel", "sweep", "shakespeare-char-gpu.toml", *CUPEL, "--out", "shakespeare-char-gpu")
    return {"seconds": time.perf_counter() - start}


def two_at_a_time():
    start = time.perf_counter()
    run("./cupel", "sweep", "quickstart.toml", *CUPEL, "--jobs", 2, "--out", "quickstart-gpu")
    return {"seconds": time.perf_counter() - start}


def prepare(directory):
    command = ["./peer", "prepare", directory, "gpt2-124m", "--context", "1024", "--batch", "16"]
    return json.loads(subprocess.check_output(command, env=ENVIRONMENT, cwd=BUNDLE))


def peers(directory, peak_flops):
    workload = prepare(directory)
    pytorch = [sys.executable, "peer.py", "train", directory, "--device", DEVICE, "--precision", "bf16", "--threads", 8]
    workers = {
        "pytorch-eager": Worker(*pytorch),
        "pytorch-compile": Worker(*pytorch, "--compile"),
        "libtorch-fused": Worker("./peer", "train", directory, *CUPEL, *BF16),
    }
    losses = {peer: worker.ask(AGREEING_STEPS)["losses"] for peer, worker in workers.items()}
    expected = losses["pytorch-eager"]
    for peer, own in losses.items():
        for step, (a, b) in enumerate(zip(own, expected)):
            if not abs(a - b) <= TOLERANCE * expected[0]:
                sys.exit(f"{peer} has the loss {a} at step {step}, pytorch-eager has {b}: speeds mean nothing")

    tokens = workload["batch"] * workload["context"]
    positions = workload["context"] * workload["width"]
    attention = 12 * workload["layers"] * positions
    flops = 6 * (workload["parameters"] - positions) + attention
    speeds = {peer: [] for peer in workers}
    for alternation in range(ALTERNATIONS):
        for peer, worker in workers.items():
            speeds[peer].append(STEPS * tokens / worker.ask(STEPS)["seconds"])
        print(f"alternation {alternation + 1} of {ALTERNATIONS}", flush=True)
    eager = speeds["pytorch-eager"]
    result = {"workload": workload, "losses": losses, "tokens_per_second": speeds, "versions": {}}
    for peer, own in speeds.items():
        median = statistics.median(own)
        ratio = statistics.median(a / b for a, b in zip(own, eager))
        result["versions"][peer] = workers[peer].versions
        result[peer] = {"tokens_per_second": median, "over_eager": ratio, "mfu": median * flops / peak_flops}
        print(f"{peer:16} {median:10.0f} tokens/s  {ratio:.3f} x eager  MFU {result[peer]['mfu']:.3f}")
    return result


def synchronisations(directory):
    """The CUDA calls of 20 steps, those that wait among them: a step that waits for nothing has fewer of those than steps."""
    prepare(directory)
    command = ["nsys", "profile", "--trace=cuda", "--stats=true", "--force-overwrite=true", "-o", Path(directory) / "steps"]
    train = ["./peer", "train", directory, *CUPEL, *BF16]
    try:
        words = [str(word) for word in command + train]
        done = subprocess.run(words, env=ENVIRONMENT, cwd=BUNDLE, input="20\n", capture_output=True, text=True)
    except FileNotFoundError:
        return "nsys is not installed"
    calls = [line.strip() for line in done.stdout.splitlines() if "ynchronize" in line or "Memcpy" in line]
    print("\n".join(calls))
    return calls


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--peak-flops", type=float, default=989.4e12, help="the GPU's published bf16 peak; an H100's if left out")
    arguments = arguments.parse_args()
    run("./cupel", "devices")
    for test in sorted(BUNDLE.glob("kernels-*")):
        run(test)
    with tempfile.TemporaryDirectory() as directory:
        found = {
            "gpu": torch.cuda.get_device_name(DEVICE),
            "peak_flops": arguments.peak_flops,
            "peers": peers(directory, arguments.peak_flops),
            "synchronisations": synchronisations(directory),
            "shakespeare-char-gpu": shakespeare(),
            "two-at-a-time": two_at_a_time(),
        }
    (BUNDLE / "gpu.json").write_text(json.dumps(found, indent=2) + "\n")


main()
