"""Writes what torch.nn.functional says of losses, for crates/losses/tests/pytorch.rs.

Usage: python losses.py DIRECTORY

Inputs are float32 values; losses and gradients are computed from them in float64 and written so that they are read
back to the last bit. The same PyTorch writes the same bytes.
"""

import json
import pathlib
import sys

import torch
import torch.nn.functional as F

# (tokens, vocabulary, spread of the logits)
SHAPES = [(1, 2, 1.0), (3, 5, 4.0), (5, 17, 4.0), (8, 32, 1.0), (2, 64, 100.0)]

# ignore_index, label_smoothing, z_loss; the z-loss is composed, for PyTorch has none.
OPTIONS = [
    (None, 0.0, 0.0),
    (-100, 0.0, 0.0),
    (None, 0.1, 0.0),
    (-100, 0.25, 1e-4),
]


def gradient(loss, logits):
    (result,) = torch.autograd.grad(loss, logits, retain_graph=True)
    return result.flatten().tolist()


def inputs(generator, tokens, vocabulary, spread):
    logits = spread * torch.randn(tokens, vocabulary, generator=generator, dtype=torch.float32)
    targets = torch.randint(vocabulary, (tokens,), generator=generator)
    # What flows back into every token's loss, so that the gradient of the unreduced losses is tested too.
    upstream = torch.randn(tokens, generator=generator, dtype=torch.float32)
    return logits.double().requires_grad_(), targets, upstream.double()


def cross_entropy(generator):
    for tokens, vocabulary, spread in SHAPES:
        logits, all_targets, upstream = inputs(generator, tokens, vocabulary, spread)
        for ignore_index, label_smoothing, z_loss in OPTIONS:
            targets = all_targets.clone()
            if ignore_index is not None:
                # Every other token from the second on: never all of them.
                targets[1::2] = ignore_index
            counted = (targets != -100).double()
            z = z_loss * torch.logsumexp(logits, 1).square() * counted

            def loss(reduction):
                return F.cross_entropy(
                    logits, targets, reduction=reduction, ignore_index=-100, label_smoothing=label_smoothing
                )

            none = loss("none") + z
            mean = loss("mean") + z.sum() / counted.sum()
            yield {
                "shape": [tokens, vocabulary],
                "logits": logits.flatten().tolist(),
                "targets": targets.tolist(),
                "upstream": upstream.tolist(),
                "ignore_index": ignore_index,
                "label_smoothing": label_smoothing,
                "z_loss": z_loss,
                "none": none.tolist(),
                "sum": (loss("sum") + z.sum()).item(),
                "mean": mean.item(),
                "gradient_of_none": gradient((none * upstream).sum(), logits),
                "gradient_of_mean": gradient(mean, logits),
            }


def mse(generator):
    for tokens, vocabulary, spread in SHAPES:
        logits, targets, upstream = inputs(generator, tokens, vocabulary, spread)
        one_hot = F.one_hot(targets, vocabulary).double()
        none = F.mse_loss(logits.softmax(1), one_hot, reduction="none").sum(1)
        yield {
            "shape": [tokens, vocabulary],
            "logits": logits.flatten().tolist(),
            "targets": targets.tolist(),
            "upstream": upstream.tolist(),
            "none": none.tolist(),
            "gradient_of_none": gradient((none * upstream).sum(), logits),
        }


def main(directory):
    directory.mkdir(parents=True, exist_ok=True)
    for name, cases in [("cross_entropy", cross_entropy), ("mse", mse)]:
        generator = torch.Generator().manual_seed(0)
        # Without the build, "+cpu" or "+cu128": only the version is pinned.
        version = torch.__version__.split("+")[0]
        lines = ",\n".join(json.dumps(case) for case in cases(generator))
        text = f'{{"torch": "{version}", "cases": [\n{lines}\n]}}\n'
        (directory / f"{name}.json").write_text(text)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
