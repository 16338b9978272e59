#!/usr/bin/env python3
"""Makes tests/fixtures/oracle/curves/resnet20_cifar10.safetensors: the losses of ResNet-20's first steps on pictures of CIFAR-10, computed
by PyTorch in float64.

    scripts/resnet20-curve.py PICTURES tests/fixtures/oracle/curves/resnet20_cifar10.safetensors

PICTURES holds a folder of 32x32 pictures for each of the ten classes (CIFAR-10's training images as PNG or JPEG). Of each, as many as are
needed are taken in the order of their names. Needs PyTorch, NumPy and Pillow; takes a minute on two cores.

The file holds the decoded pixels, the labels, the losses, and how far a loss in float32 may be off at each step. The 272,474 initial
weights are not in it: both sides draw them from a seed (`draw` below is src/nn/init.rs in NumPy), and the file holds the SHA-256 of what
was drawn. What is allowed at a step is five times what PyTorch itself is off in float32 up to there, in the worst of eight runs whose
initial weights differ by a rounding, and at least 1e-5: float32 can promise no more, since a step turns the errors of the last one into
other weights.
"""

import hashlib
import json
import pathlib
import struct
import sys

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

STEPS, BATCH, CLASSES, SEED = 20, 16, 10, 0
# A small rate: at 0.0125, the recipe's scaled with the batch, PyTorch's own losses in float32 are 8 % off after 20 steps, and at
# that distance nothing could be told.
LR, MOMENTUM, DECAY = 0.0005, 0.9, 1e-4
FACTOR, LEAST, ROUNDED_RUNS = 5.0, 1e-5, 8


def pcg(value):
    state = (value * 747796405 + 2891336453) & 0xFFFFFFFF
    word = (((state >> ((state >> 28) + 4)) ^ state) * 277803737) & 0xFFFFFFFF
    return (word >> 22) ^ word


def draw(name, count, fan_in):
    """He's normal distribution, as src/nn/init.rs draws it for the parameter of this name."""
    stream = 0x811C9DC5
    for byte in name.encode():
        stream = ((stream ^ byte) * 0x01000193) & 0xFFFFFFFF
    key = pcg(SEED ^ pcg(0)) ^ stream
    index = np.arange(count, dtype=np.uint64)

    def unit(number):
        half = [pcg(index ^ np.uint64(pcg(step ^ pcg(key)))) for step in (2 * number, 2 * number + 1)]
        bits = (half[0] << np.uint64(32)) | half[1]
        return (bits >> np.uint64(11)).astype(np.float64) / 2.0**53

    normal = np.sqrt(-2.0 * np.log(1.0 - unit(0))) * np.cos(2.0 * np.pi * unit(1))
    return (np.sqrt(2.0 / fan_in) * normal).astype(np.float32)


class Network:
    """ResNet-20 by the names of `wgrad summary resnet20`, its shortcuts 1x1 convolutions where the shape changes."""

    def __init__(self):
        # In the order in which wgrad's flat buffer holds them, and in its layouts: [k_h, k_w, c_in, c_out].
        self.drawn, self.weights = hashlib.sha256(), {}
        self.conv_bn("stem", 3, 16, 3)
        self.blocks = []
        channels = 16
        for stage, wider in enumerate([16, 32, 64]):
            for block in range(3):
                name, changes = f"layer{stage + 1}_{block + 1}", stage > 0 and block == 0
                self.conv_bn(f"{name}_conv1", channels, wider, 3)
                self.conv_bn(f"{name}_conv2", wider, wider, 3)
                if changes:
                    self.conv_bn(f"{name}_shortcut", channels, wider, 1)
                self.blocks.append((name, changes))
                channels = wider
        self.keep("head.weight", draw("head.weight", CLASSES * 64, 64).reshape(CLASSES, 64))
        self.keep("head.bias", np.zeros(CLASSES, np.float32))

    def keep(self, name, values):
        self.drawn.update(values.tobytes())
        if values.ndim == 4:
            values = values.transpose(3, 2, 0, 1)
        self.weights[name] = np.ascontiguousarray(values)

    def conv_bn(self, name, c_in, c_out, kernel):
        fan_in = kernel * kernel * c_in
        weight = draw(f"{name}.weight", fan_in * c_out, fan_in)
        self.keep(f"{name}.weight", weight.reshape(kernel, kernel, c_in, c_out))
        self.keep(f"{name}_bn.weight", np.ones(c_out, np.float32))
        self.keep(f"{name}_bn.bias", np.zeros(c_out, np.float32))

    def forward(self, weights, x):
        def conv_bn(name, x, stride=1):
            weight = weights[f"{name}.weight"]
            y = F.conv2d(x, weight, stride=stride, padding=weight.shape[2] // 2)
            return F.batch_norm(y, None, None, weights[f"{name}_bn.weight"], weights[f"{name}_bn.bias"], True, eps=1e-5)

        x = F.relu(conv_bn("stem", x))
        for name, changes in self.blocks:
            stride = 2 if changes else 1
            y = conv_bn(f"{name}_conv2", F.relu(conv_bn(f"{name}_conv1", x, stride)))
            x = F.relu(y + (conv_bn(f"{name}_shortcut", x, stride) if changes else x))
        return F.linear(x.mean(dim=(2, 3)), weights["head.weight"], weights["head.bias"])

    def train(self, images, labels, dtype, rounding=None):
        """The loss of each step; with `rounding`, from weights that are off by up to half a unit in their last place."""
        weights = {}
        for name, values in self.weights.items():
            values = values.astype(np.float64)
            if rounding is not None:
                values = values * (1.0 + rounding.uniform(-1.0, 1.0, values.shape) * 2.0**-24)
            weights[name] = torch.tensor(values, dtype=dtype, requires_grad=True)
        optimizer = torch.optim.SGD(weights.values(), lr=LR, momentum=MOMENTUM, weight_decay=DECAY)
        losses = []
        for x, y in zip(images, labels):
            optimizer.zero_grad()
            loss = F.cross_entropy(self.forward(weights, torch.tensor(x, dtype=torch.float64).div(255).to(dtype)), torch.tensor(y))
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return np.array(losses)


def pictures(folder):
    """Bytes [steps, n, c, h, w] and labels [steps, n]: the classes by turns."""
    classes = sorted(path for path in pathlib.Path(folder).iterdir() if path.is_dir())
    if len(classes) != CLASSES:
        sys.exit(f"{folder} holds {len(classes)} folders, not one for each of {CLASSES} classes")
    files = [sorted(path.iterdir()) for path in classes]
    images, labels = [], []
    for number in range(STEPS * BATCH):
        label = number % CLASSES
        image = np.asarray(Image.open(files[label][number // CLASSES]).convert("RGB"))
        images.append(image.transpose(2, 0, 1))
        labels.append(label)
    shape = (STEPS, BATCH, *images[0].shape)
    return np.stack(images).reshape(shape), np.array(labels, np.int64).reshape(STEPS, BATCH)


def save(path, tensors, metadata):
    header, offset = {"__metadata__": metadata}, 0
    kinds = {"uint8": "U8", "int64": "I64", "float64": "F64"}
    for name, tensor in tensors.items():
        end = offset + tensor.nbytes
        header[name] = {"dtype": kinds[str(tensor.dtype)], "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            file.write(tensor.tobytes())


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    images, labels = pictures(sys.argv[1])
    network = Network()
    losses = network.train(images, labels, torch.float64)
    off = np.zeros(STEPS)
    for run in range(ROUNDED_RUNS):
        rounded = network.train(images, labels, torch.float32, np.random.default_rng(run))
        off = np.maximum(off, np.abs(rounded - losses) / losses)
        print(f"float32 run {run}: at most {off.max():.1e} off so far", file=sys.stderr)
    allowed = np.maximum(FACTOR * np.maximum.accumulate(off), LEAST)
    for step, row in enumerate(zip(losses, off, allowed)):
        print("step {:2}  loss {:.12f}  float32 off by {:.1e}  allowed {:.1e}".format(step + 1, *row))
    attrs = {
        "network": "resnet20", "init": "he_normal", "seed": SEED, "init_sha256": network.drawn.hexdigest(),
        "optimizer": "sgd", "lr": LR, "momentum": MOMENTUM, "weight_decay": DECAY, "torch": torch.__version__,
    }
    # Eight bytes wide first, so that all lie at multiples of their size.
    tensors = {"labels": labels, "allowed": allowed, "want.losses": losses, "x_u8": images}
    save(sys.argv[2], tensors, {"op": "curve", "attrs": json.dumps(attrs)})


if __name__ == "__main__":
    main()
