"""The PyTorch peer of `cargo xtask bench-peers`: the model that Cupel trains, as one would write it in PyTorch.

It starts from what `peer.rs prepare` wrote, and speaks as `peer.rs` does: one line of JSON when it is ready, then one for
each line of the standard input.

    peer.py train DIRECTORY    20 -> {"seconds": 0.82, "losses": [4.17, ...]}            20 more steps
    peer.py probe              1  -> {"sgemm": 2.1e11, "copy": 1.9e10, "adamw": 0.21}    FLOP/s, bytes/s, seconds of a step
"""

import argparse
import json
import platform
import struct
import sys
import time
import tomllib
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F


def read_tensors(path):
    """Names and tensors of a safetensors file: the header's length, the header in JSON, the data."""
    dtypes = {"F32": torch.float32, "I64": torch.int64}
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        for name, entry in header.items():
            begin, end = entry["data_offsets"]
            file.seek(8 + length + begin)
            data = bytearray(file.read(end - begin))
            yield name, torch.frombuffer(data, dtype=dtypes[entry["dtype"]]).reshape(entry["shape"])


class Attention(nn.Module):
    def __init__(self, width, heads, bias, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Linear(width, 3 * width, bias=bias)
        self.output = nn.Linear(width, width, bias=bias)

    def forward(self, x):
        batch, context, width = x.shape
        by_head = (batch, context, self.heads, width // self.heads)
        q, k, v = (part.view(by_head).transpose(1, 2) for part in self.qkv(x).split(width, dim=2))
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout, is_causal=True)
        mixed = mixed.transpose(1, 2).contiguous().view(batch, context, width)
        return F.dropout(self.output(mixed), self.dropout)


class Mlp(nn.Module):
    def __init__(self, width, bias, dropout):
        super().__init__()
        self.dropout = dropout
        self.input = nn.Linear(width, 4 * width, bias=bias)
        self.output = nn.Linear(4 * width, width, bias=bias)

    def forward(self, x):
        return F.dropout(self.output(F.gelu(self.input(x), approximate="tanh")), self.dropout)


class Block(nn.Module):
    def __init__(self, width, heads, bias, dropout):
        super().__init__()
        self.attention_norm = nn.LayerNorm(width, eps=1e-5, bias=bias)
        self.attention = Attention(width, heads, bias, dropout)
        self.mlp_norm = nn.LayerNorm(width, eps=1e-5, bias=bias)
        self.mlp = Mlp(width, bias, dropout)

    def forward(self, x):
        x = x + self.attention(self.attention_norm(x))
        return x + self.mlp(self.mlp_norm(x))


class Gpt2(nn.Module):
    """The names of the parameters are Cupel's. It only ever trains: dropout is on."""

    def __init__(self, vocabulary, layers, heads, width, context, bias, dropout):
        super().__init__()
        self.dropout = dropout
        self.token_embedding = nn.Parameter(torch.empty(vocabulary, width))
        self.position_embedding = nn.Parameter(torch.empty(context, width))
        self.blocks = nn.ModuleList(Block(width, heads, bias, dropout) for _ in range(layers))
        self.final_norm = nn.LayerNorm(width, eps=1e-5, bias=bias)

    def forward(self, inputs, targets):
        x = F.embedding(inputs, self.token_embedding) + self.position_embedding[: inputs.shape[1]]
        x = F.dropout(x, self.dropout)
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.final_norm(x), self.token_embedding)
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))

    @torch.no_grad()
    def load(self, path):
        parameters = dict(self.named_parameters())
        # PyTorch keeps the weights of linear layers transposed.
        transposed = {id(module.weight) for module in self.modules() if isinstance(module, nn.Linear)}
        for name, tensor in read_tensors(path):
            parameter = parameters.pop(name)
            parameter.copy_(tensor.T if id(parameter) in transposed else tensor)
        assert not parameters, f"{path} lacks {list(parameters)}"


def adamw(model, optimizer, lr):
    """Weight decay applies to matrices alone."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": optimizer["weight_decay"]},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    betas = (optimizer["beta1"], optimizer["beta2"])
    return torch.optim.AdamW(groups, lr=lr, betas=betas, eps=optimizer["eps"], fused=True)


def synchronize(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Training:
    def __init__(self, directory, device, precision, compiled):
        recipe = tomllib.loads((directory / "recipe.toml").read_text())
        assert recipe["schedule"]["name"] == "constant" and recipe["optimizer"]["name"] == "adamw"
        batches = dict(read_tensors(directory / "batches.safetensors"))
        self.inputs, self.targets = batches["inputs"].to(device), batches["targets"].to(device)
        weights = directory / "weights.safetensors"
        vocabulary = next(tensor.shape[0] for name, tensor in read_tensors(weights) if name == "token_embedding")
        shape = recipe["model"]
        switches = [shape.pop(name) for name in ("residual", "norm", "activation", "tied")]
        assert switches == [True, "pre", "gelu-tanh", True], "the peer is a GPT-2"
        self.model = Gpt2(vocabulary, **shape)
        self.model.load(weights)
        self.model.to(device)
        self.optimizer = adamw(self.model, recipe["optimizer"], recipe["schedule"]["lr"])
        self.clip = recipe["optimizer"]["clip"]
        self.loss = torch.compile(self.model) if compiled else self.model
        self.device, self.precision, self.step = device, precision, 0

    def one_step(self):
        index = self.step % len(self.inputs)
        self.step += 1
        bf16 = torch.autocast(self.device.type, torch.bfloat16) if self.precision == "bf16" else nullcontext()
        with bf16:
            loss = self.loss(self.inputs[index], self.targets[index])
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    def answer(self, request):
        start = time.perf_counter()
        losses = [self.one_step() for _ in range(int(request))]
        synchronize(self.device)
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "losses": [loss.item() for loss in losses]}


class Probe:
    """What the machine does at best, and AdamW on the parameters of GPT-2 124M."""

    def __init__(self, device):
        size, self.device = 4096, device
        self.a, self.b, self.c = (torch.rand(size, size, device=device) for _ in range(3))
        self.source, self.target = (torch.ones(1 << 27, device=device) for _ in range(2))
        self.model = Gpt2(50257, layers=12, heads=12, width=768, context=1024, bias=True, dropout=0.0).to(device)
        for parameter in self.model.parameters():
            nn.init.normal_(parameter, std=0.02)
            parameter.grad = 0.01 * parameter.detach()
        standard = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.1}
        self.optimizer = adamw(self.model, standard, lr=1e-4)
        # The first makes the state.
        self.optimizer.step()

    def seconds(self, work):
        synchronize(self.device)
        start = time.perf_counter()
        work()
        synchronize(self.device)
        return time.perf_counter() - start

    def answer(self, _request):
        size = len(self.a)
        return {
            "sgemm": 2 * size**3 / self.seconds(lambda: torch.mm(self.a, self.b, out=self.c)),
            # Each byte is read and written.
            "copy": 2 * 4 * len(self.source) / self.seconds(lambda: self.target.copy_(self.source)),
            "adamw": self.seconds(self.optimizer.step),
        }


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("work", choices=["train", "probe"])
    arguments.add_argument("directory", type=Path, nargs="?")
    arguments.add_argument("--device", type=torch.device, default="cpu")
    arguments.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    arguments.add_argument("--compile", action="store_true")
    arguments.add_argument("--threads", type=int, required=True)
    arguments = arguments.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.work == "train":
        worker = Training(arguments.directory, arguments.device, arguments.precision, arguments.compile)
    else:
        worker = Probe(arguments.device)
    print(json.dumps({"pytorch": torch.__version__, "python": platform.python_version()}), flush=True)
    for request in sys.stdin:
        print(json.dumps(worker.answer(request)), flush=True)


main()
