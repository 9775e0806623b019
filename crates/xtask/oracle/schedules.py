"""Learning rates of PyTorch's schedulers: one JSON file for each of Cupel's schedules.

    python schedules.py DIRECTORY

Every case is a `[schedule]` table of ours, the steps of the run, and the rates that PyTorch gives to the steps
0, 1, 2, ... under the relation that the file states. The same PyTorch writes the same bytes.
"""

import json
import math
import sys
import warnings
from pathlib import Path

import torch
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    SequentialLR,
    StepLR,
)

# SequentialLR itself calls its parts with the argument that PyTorch has deprecated.
warnings.filterwarnings("ignore", message=".*epoch parameter.*")


def rates(lr, scheduler, steps):
    """The rates of the first steps of a scheduler that is made from its optimizer."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    scheduler = scheduler(optimizer)
    lrs = []
    for step in range(steps):
        if step > 0:
            optimizer.step()
            scheduler.step()
        lrs.append(float(optimizer.param_groups[0]["lr"]))
    return lrs


def after(warmup, decay):
    """A linear warm-up in our convention, (t + 1) / warmup, and then `decay`."""

    def make(optimizer):
        # LinearLR starts at its factor and takes total_iters steps to 1: ours is at 1 / warmup at step 0.
        rise = LinearLR(optimizer, start_factor=1 / warmup, total_iters=warmup - 1)
        return SequentialLR(optimizer, [rise, decay(optimizer)], milestones=[warmup])

    return make


def case(config, steps, scheduler, count=None, lr=None):
    """A case with the rates of `count` steps, by default some more than the run has."""
    count = count or steps + 20
    return {
        "config": config,
        "steps": steps,
        "lrs": rates(lr or config["lr"], scheduler, count),
    }


def table(name, lr, warmup=0, **keys):
    return {"name": name, "lr": lr, "warmup": warmup, **keys}


def constant():
    relation = "the warm-up alone: LinearLR(1 / W, total_iters=W - 1); by LambdaLR; ExponentialLR(1000^(1 / W))"
    cases = [case(table("constant", 0.1), 50, lambda o: ConstantLR(o, factor=1.0))]
    for lr, warmup in [(6e-4, 10), (1e-3, 33), (0.3, 7)]:
        cases.append(
            case(
                table("constant", lr, warmup),
                50,
                lambda o: LinearLR(o, start_factor=1 / warmup, total_iters=warmup - 1),
            )
        )
        rise = lambda t: (1 - math.cos(math.pi * min((t + 1) / warmup, 1))) / 2
        cases.append(
            case(table("constant", lr, warmup, warmup_shape="cosine"), 50, lambda o: LambdaLR(o, rise))
        )
        cases.append(
            case(
                table("constant", lr, warmup, warmup_shape="exponential"),
                warmup,
                lambda o: ExponentialLR(o, gamma=1000 ** (1 / warmup)),
                count=warmup,
                lr=lr * 1000 ** (1 / warmup) / 1000,
            )
        )
    return relation, cases


def linear():
    relation = "LinearLR(1, min_lr / lr, total_iters=decay_steps - W) after the warm-up"
    cases = []
    for lr, warmup, min_lr, decay_steps in [(0.1, 0, 0.0, 100), (6e-4, 10, 6e-5, 90), (3.0, 25, 0.7, 64)]:
        decay = lambda o: LinearLR(o, 1.0, min_lr / lr, total_iters=decay_steps - warmup)
        config = table("linear", lr, warmup, min_lr=min_lr, decay_steps=decay_steps)
        cases.append(case(config, 100, after(warmup, decay) if warmup else decay))
    return relation, cases


def cosine():
    relation = (
        "CosineAnnealingLR(decay_steps - W, min_lr) after the warm-up, up to decay_steps; there ours holds min_lr "
        "and PyTorch's climbs back the way it came"
    )
    cases = []
    for lr, warmup, min_lr, decay_steps in [(0.1, 0, 0.0, 100), (6e-4, 10, 6e-5, 90), (3.0, 25, 0.7, 64)]:
        decay = lambda o: CosineAnnealingLR(o, decay_steps - warmup, min_lr)
        config = table("cosine", lr, warmup, min_lr=min_lr, decay_steps=decay_steps)
        count = 2 * decay_steps - warmup + 1
        cases.append(case(config, 100, after(warmup, decay) if warmup else decay, count))
    return relation, cases


def cosine_restarts():
    relation = "CosineAnnealingWarmRestarts(period, period_factor, min_lr) after the warm-up"
    cases = []
    for lr, warmup, min_lr, period, factor in [
        (0.05, 0, 0.0, 10, 1),
        (0.05, 0, 1e-4, 10, 2),
        (6e-4, 12, 6e-5, 7, 3),
        (1.0, 0, 0.25, 1, 2),
    ]:
        decay = lambda o: CosineAnnealingWarmRestarts(o, period, factor, min_lr)
        config = table("cosine-restarts", lr, warmup, min_lr=min_lr, period=period, period_factor=factor)
        cases.append(case(config, 150, after(warmup, decay) if warmup else decay))
    return relation, cases


def polynomial():
    relation = "PolynomialLR(decay_steps - W, power) after the warm-up; PyTorch's floor is 0"
    cases = []
    for lr, warmup, power, decay_steps in [(0.1, 0, 1.0, 100), (6e-4, 10, 0.9, 90), (3.0, 0, 2.5, 64)]:
        decay = lambda o: PolynomialLR(o, decay_steps - warmup, power)
        config = table("polynomial", lr, warmup, power=power, min_lr=0.0, decay_steps=decay_steps)
        cases.append(case(config, 100, after(warmup, decay) if warmup else decay))
    return relation, cases


def step():
    relation = "StepLR(every, gamma)"
    return relation, [
        case(table("step", lr, gamma=gamma, every=every), 120, lambda o: StepLR(o, every, gamma))
        for lr, gamma, every in [(1e-3, 0.1, 30), (0.3, 0.5, 7), (2.0, 0.97, 1)]
    ]


def multi_step():
    relation = "MultiStepLR(milestones, gamma)"
    return relation, [
        case(
            table("multi-step", lr, gamma=gamma, milestones=milestones),
            100,
            lambda o: MultiStepLR(o, milestones, gamma),
        )
        for lr, gamma, milestones in [
            (0.1, 0.1, [30, 60, 90]),
            (6e-4, 0.5, [1, 2, 50]),
            (2.0, 0.9, list(range(5, 100, 5))),
        ]
    ]


def exponential():
    relation = "ExponentialLR(gamma) after the warm-up"
    cases = []
    for lr, warmup, gamma in [(0.1, 0, 0.9), (6e-4, 10, 0.99), (2.0, 0, 0.999), (1.0, 0, 0.5)]:
        decay = lambda o: ExponentialLR(o, gamma)
        config = table("exponential", lr, warmup, gamma=gamma)
        cases.append(case(config, 150, after(warmup, decay) if warmup else decay))
    return relation, cases


def inverse_square_root():
    relation = "LambdaLR of width^-0.5 min(n^-0.5, n W^-1.5), n = t + 1, over lr 1; ours has lr = (width W)^-0.5"
    cases = []
    for width, warmup in [(512, 40), (768, 1), (128, 25)]:
        noam = lambda t: width**-0.5 * min((t + 1) ** -0.5, (t + 1) * warmup**-1.5)
        config = table("inverse-square-root", (width * warmup) ** -0.5, warmup)
        cases.append(case(config, 100, lambda o: LambdaLR(o, noam), lr=1.0))
    return relation, cases


def wsd():
    relation = (
        "SequentialLR of LinearLR (warm-up), ConstantLR(1) and, from step N - D on, LinearLR(1, min_lr / lr, D), "
        "CosineAnnealingLR(D, min_lr) or LambdaLR"
    )
    cases = []
    for lr, warmup, steps, fraction, min_lr, shape in [
        (0.1, 10, 100, 0.2, 0.0, "linear"),
        (6e-4, 5, 80, 0.5, 6e-5, "linear"),
        (6e-4, 5, 80, 0.5, 6e-5, "cosine"),
        (3.0, 20, 100, 0.3, 0.0, "one-minus-sqrt"),
        (0.02, 2, 60, 0.25, 0.002, "one-minus-sqrt"),
    ]:
        falling = round(fraction * steps)

        def one_minus_sqrt(t):
            return min_lr / lr + (1 - min_lr / lr) * (1 - math.sqrt(min(t / falling, 1)))

        def scheduler(optimizer):
            decay = {
                "linear": lambda o: LinearLR(o, 1.0, min_lr / lr, total_iters=falling),
                "cosine": lambda o: CosineAnnealingLR(o, falling, min_lr),
                "one-minus-sqrt": lambda o: LambdaLR(o, one_minus_sqrt),
            }[shape]
            rise = LinearLR(optimizer, start_factor=1 / warmup, total_iters=warmup - 1)
            stable = ConstantLR(optimizer, factor=1.0)
            return SequentialLR(optimizer, [rise, stable, decay(optimizer)], [warmup, steps - falling])

        config = table("wsd", lr, warmup, decay_fraction=fraction, shape=shape, min_lr=min_lr)
        # PyTorch's cosine climbs again: see cosine.json.
        cases.append(case(config, steps, scheduler, steps + 1 if shape == "cosine" else None))
    return relation, cases


def one_cycle():
    relation = "OneCycleLR(lr, N, rise_fraction, 'cos', ...) for N steps; PyTorch's refuses to go on, ours holds"
    cases = []
    for lr, steps, rise, div, final in [
        (0.1, 100, 0.3, 25.0, 1e4),
        (6e-4, 77, 0.45, 10.0, 100.0),
        (1.0, 50, 0.25, 4.0, 1.0),
    ]:
        scheduler = lambda o: OneCycleLR(
            o,
            max_lr=lr,
            total_steps=steps,
            pct_start=rise,
            anneal_strategy="cos",
            cycle_momentum=False,
            div_factor=div,
            final_div_factor=final,
        )
        config = table("one-cycle", lr, rise_fraction=rise, div_factor=div, final_div_factor=final)
        cases.append(case(config, steps, scheduler, steps))
    return relation, cases


def sequence():
    relation = "SequentialLR, with our parts' steps added up as its milestones; ConstantLR(f) is a part of its own"
    halves = case(
        table(
            "sequence",
            0.1,
            parts=[{"name": "constant", "steps": 20, "lr": 0.05}, {"name": "constant"}],
        ),
        60,
        lambda o: ConstantLR(o, factor=0.5, total_iters=20),
    )
    constant_then_exponential = case(
        table(
            "sequence",
            6e-4,
            parts=[
                {"name": "constant", "steps": 30, "lr": 6e-5},
                {"name": "exponential", "gamma": 0.95, "steps": 70},
            ],
        ),
        100,
        lambda o: SequentialLR(o, [ConstantLR(o, 0.1, 30), ExponentialLR(o, 0.95)], [30]),
    )
    three = case(
        table(
            "sequence",
            1.0,
            parts=[
                {"name": "constant", "steps": 10, "warmup": 10},
                {"name": "step", "gamma": 0.5, "every": 8, "steps": 40},
                {"name": "cosine-restarts", "period": 5, "period_factor": 2, "min_lr": 0.1},
            ],
        ),
        100,
        lambda o: SequentialLR(
            o,
            [
                LinearLR(o, 1 / 10, total_iters=9),
                StepLR(o, 8, 0.5),
                CosineAnnealingWarmRestarts(o, 5, 2, 0.1),
            ],
            [10, 50],
        ),
    )
    return relation, [halves, constant_then_exponential, three]


SCHEDULES = [
    constant,
    linear,
    cosine,
    cosine_restarts,
    polynomial,
    step,
    multi_step,
    exponential,
    inverse_square_root,
    wsd,
    one_cycle,
    sequence,
]


def main():
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    for schedule in SCHEDULES:
        name = schedule.__name__.replace("_", "-")
        relation, cases = schedule()
        head = {"torch": torch.__version__.split("+")[0], "schedule": name, "relation": relation}
        head = json.dumps(head)[1:-1]
        lines = ",\n".join(json.dumps(case) for case in cases)
        (directory / f"{name}.json").write_text(f'{{{head}, "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
