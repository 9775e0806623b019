"""What PyTorch's optimizers and gradient clipping compute, as fixtures for crates/optimizers.

Usage: python optimizers.py DIRECTORY (or, for all fixtures at once, `cargo xtask oracle`)

inputs.json holds one trajectory of gradients for each shape; every other file holds what one algorithm makes of them.
All is in float64, tensors are flattened in row-major order, and the gradients do not depend on the parameters, so that a
fixture tests the update rule and nothing else.
"""

import functools
import inspect
import json
import sys
from pathlib import Path

import torch
from torch.optim import _muon

STEPS = 20
RECORDED_STEPS = (1, 2, 5, 20)
SEED = 20250

SHAPES = [[1], [7], [3, 5], [8, 8], [4, 2, 3]]
MATRICES = [[1, 1], [3, 5], [5, 3], [8, 8], [16, 4]]


def draw_input(shape, generator):
    """Initial parameters and the gradients of all steps.

    Rounded to bfloat16: exact in every precision that is trained in, short in decimal, and far too coarse for another
    CPU's last bits to show.
    """

    def normal():
        return torch.randn(shape, generator=generator)

    def listed(tensor):
        return tensor.to(torch.bfloat16).to(torch.float64).flatten().tolist()

    theta = listed(normal())
    gradients = []
    for step in range(STEPS):
        # From vanishing to exploding: second moments and epsilons then matter.
        exponent = torch.empty(1).uniform_(-3, 1, generator=generator)
        gradient = normal() * 10**exponent
        # A weight that no token used has gradient 0, and so may have all of them.
        used = torch.rand(shape, generator=generator) > 0.1
        gradients.append(listed(torch.where(used, gradient, 0.0) if step != 3 else torch.zeros(shape)))
    return {"shape": shape, "theta": theta, "gradients": gradients}


def inputs():
    generator = torch.Generator().manual_seed(SEED)
    shapes = SHAPES + [shape for shape in MATRICES if shape not in SHAPES]
    return [draw_input(shape, generator) for shape in shapes]


def learning_rates(lr):
    """A schedule: what is scaled by the learning rate, and by which step's, then matters."""
    return [lr * (1 + step % 3) / 2 for step in range(STEPS)]


def train(make, given, lrs):
    """The parameters after each recorded step."""
    theta = torch.tensor(given["theta"]).reshape(given["shape"]).requires_grad_()
    optimizer = make([theta], lr=lrs[0])
    recorded = {}
    for step, (lr, gradient) in enumerate(zip(lrs, given["gradients"]), start=1):
        optimizer.param_groups[0]["lr"] = lr
        theta.grad = torch.tensor(gradient).reshape(given["shape"])
        optimizer.step()
        if step in RECORDED_STEPS:
            recorded[str(step)] = theta.detach().flatten().tolist()
    return recorded


# Each of these maps the keys of our recipes to PyTorch's arguments.


def same(p):
    return p


def momentum(p):
    return {"momentum": p["beta"], "dampening": 0, "nesterov": p["nesterov"], "weight_decay": p["weight_decay"]}


def betas(p):
    rest = {key: value for key, value in p.items() if key not in ("beta1", "beta2")}
    return {"betas": (p["beta1"], p["beta2"]), **rest}


def amsgrad(p):
    return {**betas(p), "amsgrad": True}


def adagrad(p):
    rest = {key: value for key, value in p.items() if key != "initial_accumulator"}
    return {"initial_accumulator_value": p["initial_accumulator"], **rest}


def adafactor(p):
    return {
        "beta2_decay": p["beta2_decay"],
        "eps": (p["eps1"], p["eps2"]),
        "d": p["clip_threshold"],
        "weight_decay": p["weight_decay"],
    }


def muon(p):
    rest = {key: value for key, value in p.items() if key != "adjust_lr"}
    return {"adjust_lr_fn": p["adjust_lr"].replace("-", "_"), **rest}


FUSED = {"foreach": False, "fused": False}
FOREACH = {"foreach": False}

ADAM = [
    (0.002, {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}),
    (0.01, {"beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.1}),
    (0.05, {"beta1": 0.0, "beta2": 0.8, "eps": 1e-3, "weight_decay": 0.02}),
]

# name: (class, reference implementation's switches, arguments, (lr, hyper-parameters) of each set)
OPTIMIZERS = {
    "sgd": (
        torch.optim.SGD,
        FUSED,
        same,
        [(0.1, {"weight_decay": 0.0}), (0.05, {"weight_decay": 0.1}), (0.5, {"weight_decay": 0.01})],
    ),
    "momentum": (
        torch.optim.SGD,
        FUSED,
        momentum,
        [
            (0.1, {"beta": 0.9, "nesterov": False, "weight_decay": 0.0}),
            (0.05, {"beta": 0.5, "nesterov": False, "weight_decay": 0.1}),
            (0.02, {"beta": 0.95, "nesterov": True, "weight_decay": 0.01}),
        ],
    ),
    "adam": (torch.optim.Adam, FUSED, betas, ADAM),
    "amsgrad": (torch.optim.Adam, FUSED, amsgrad, ADAM),
    "adamw": (torch.optim.AdamW, FUSED, betas, ADAM),
    "nadam": (
        torch.optim.NAdam,
        FOREACH,
        betas,
        [
            (0.002, {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0, "momentum_decay": 4e-3, "decoupled_weight_decay": False}),
            (0.01, {"beta1": 0.8, "beta2": 0.95, "eps": 1e-6, "weight_decay": 0.1, "momentum_decay": 0.1, "decoupled_weight_decay": False}),
            (0.05, {"beta1": 0.95, "beta2": 0.9, "eps": 1e-3, "weight_decay": 0.1, "momentum_decay": 0.0, "decoupled_weight_decay": True}),
        ],
    ),
    "radam": (
        torch.optim.RAdam,
        FOREACH,
        betas,
        [
            # Rectified from step 6 on, or never: the third set's beta2 is below 2/3.
            (0.002, {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0, "decoupled_weight_decay": False}),
            (0.01, {"beta1": 0.8, "beta2": 0.9, "eps": 1e-3, "weight_decay": 0.1, "decoupled_weight_decay": False}),
            (0.05, {"beta1": 0.9, "beta2": 0.6, "eps": 1e-8, "weight_decay": 0.1, "decoupled_weight_decay": True}),
        ],
    ),
    "adagrad": (
        torch.optim.Adagrad,
        FUSED,
        adagrad,
        [
            (0.01, {"lr_decay": 0.0, "initial_accumulator": 0.0, "eps": 1e-10, "weight_decay": 0.0}),
            (0.1, {"lr_decay": 0.1, "initial_accumulator": 0.1, "eps": 1e-10, "weight_decay": 0.0}),
            (0.05, {"lr_decay": 0.01, "initial_accumulator": 0.0, "eps": 1e-3, "weight_decay": 0.1}),
        ],
    ),
    "rmsprop": (
        torch.optim.RMSprop,
        FOREACH,
        same,
        [
            (0.01, {"alpha": 0.99, "eps": 1e-8, "weight_decay": 0.0, "momentum": 0.0}),
            (0.002, {"alpha": 0.9, "eps": 1e-8, "weight_decay": 0.1, "momentum": 0.9}),
            (0.005, {"alpha": 0.95, "eps": 1e-3, "weight_decay": 0.01, "momentum": 0.5}),
        ],
    ),
    "adafactor": (
        torch.optim.Adafactor,
        FOREACH,
        adafactor,
        [
            (0.01, {"beta2_decay": -0.8, "eps1": 1e-30, "eps2": 1e-3, "clip_threshold": 1.0, "weight_decay": 0.0}),
            (0.05, {"beta2_decay": -0.5, "eps1": 1e-30, "eps2": 1e-3, "clip_threshold": 2.0, "weight_decay": 0.1}),
            # Here 1 / sqrt(step) bounds the learning rate, and eps2 the scale of the parameters.
            (0.6, {"beta2_decay": -1.0, "eps1": 1e-30, "eps2": 1.5, "clip_threshold": 1.0, "weight_decay": 0.01}),
        ],
    ),
    "muon": (
        torch.optim.Muon,
        {},
        muon,
        [
            (0.02, {"momentum": 0.95, "nesterov": True, "weight_decay": 0.0, "ns_steps": 5, "eps": 1e-7, "adjust_lr": "original"}),
            (0.002, {"momentum": 0.9, "nesterov": False, "weight_decay": 0.1, "ns_steps": 5, "eps": 1e-7, "adjust_lr": "match-rms-adamw"}),
            # This epsilon is larger than some gradients' norms.
            (0.05, {"momentum": 0.5, "nesterov": True, "weight_decay": 0.1, "ns_steps": 3, "eps": 0.5, "adjust_lr": "original"}),
        ],
    ),
}

NOTES = {
    "momentum": "torch.optim.SGD with dampening 0; its buffer starts as the first gradient.",
    "nadam": "float64 is the default dtype, without which PyTorch keeps the product of the mu in float32.",
    "adafactor": "eps1 is so small that it does not matter whether it bounds the variance, as in PyTorch, or is added to the squares, as in the paper.",
    "muon": "PyTorch orthogonalises in bfloat16. Here its cast is taken away, so that all is in float64.",
}


def orthogonalise_in_float64():
    """Takes the cast to bfloat16 away from PyTorch's Newton-Schulz iteration, and nothing else."""
    source = inspect.getsource(_muon._zeropower_via_newtonschulz)
    cast = "grad.bfloat16()"
    assert source.count(cast) == 1, "this is another PyTorch"
    # A clone, because what follows works in place on what the cast had copied.
    exec(source.replace(cast, "grad.clone()"), _muon.__dict__)


def optimizer_fixture(name, given):
    cls, switches, arguments, sets = OPTIMIZERS[name]
    shapes = MATRICES if name == "muon" else SHAPES
    cases = []
    for index, one in enumerate(given):
        if one["shape"] not in shapes:
            continue
        for lr, parameters in sets:
            make = functools.partial(cls, **arguments(parameters), **switches)
            lrs = learning_rates(lr)
            expected = train(make, one, lrs)
            cases.append({"shape": one["shape"], "input": index, "parameters": parameters, "lrs": lrs, "expected": expected})
    return {
        "optimizer": name,
        "class": f"torch.optim.{cls.__name__}",
        **({"note": NOTES[name]} if name in NOTES else {}),
        "cases": cases,
    }


def clip_fixture(given):
    """Gradients of inputs.json, at every step: of each shape alone, and of several together, as are a model's."""
    by_norm, by_value = torch.nn.utils.clip_grad_norm_, torch.nn.utils.clip_grad_value_
    together = [0, 1, 2, 4]
    # So small a limit that PyTorch's 1e-6 shows; one that some norms are above; one that none is.
    chosen = [(by_norm, limit, [index]) for limit in (1e-4, 1.0, 1e4) for index in range(len(SHAPES))]
    chosen += [(by_norm, 1.0, together)] + [(by_value, limit, together) for limit in (0.003, 0.5, 1e4)]
    return {
        "class": "torch.nn.utils",
        "note": "norms are those before clipping. clip_grad_norm_ multiplies by min(limit / (norm + 1e-6), 1).",
        "cases": [clip_case(clip, limit, [given[index] for index in inputs], inputs) for clip, limit, inputs in chosen],
    }


def clip_case(clip, limit, given, inputs):
    norms, clipped = [], {}
    for step in range(STEPS):
        parameters = [torch.zeros(one["shape"], requires_grad=True) for one in given]
        for one, parameter in zip(given, parameters):
            parameter.grad = torch.tensor(one["gradients"][step]).reshape(parameter.shape)
        norms.append(torch.nn.utils.get_total_norm([p.grad for p in parameters], foreach=False).item())
        clip(parameters, limit, foreach=False)
        if step + 1 in RECORDED_STEPS:
            clipped[str(step + 1)] = [parameter.grad.flatten().tolist() for parameter in parameters]
    return {"function": clip.__name__, "limit": limit, "inputs": inputs, "norms": norms, "clipped": clipped}


def write(path, fixture, rows):
    """One element of `rows` a line, so that a diff shows the case that changed."""

    def dump(value):
        return json.dumps(value, separators=(",", ":"), allow_nan=False)

    fixture = {"torch": torch.__version__.split("+")[0], **fixture}
    head = "".join(f"{dump(key)}: {dump(value)},\n" for key, value in fixture.items() if key != rows)
    lines = ",\n".join(map(dump, fixture[rows]))
    path.write_text(f"{{\n{head}{dump(rows)}: [\n{lines}\n]\n}}\n")


def main():
    directory = Path(sys.argv[1])
    # Also the dtype of PyTorch's own scalars.
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    orthogonalise_in_float64()

    given = inputs()
    write(directory / "inputs.json", {"inputs": given}, "inputs")
    for name in OPTIMIZERS:
        write(directory / f"{name}.json", optimizer_fixture(name, given), "cases")
    write(directory / "clip.json", clip_fixture(given), "cases")


if __name__ == "__main__":
    main()
